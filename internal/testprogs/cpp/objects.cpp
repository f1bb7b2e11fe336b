// Virtual calls, templates, containers, static initialization, smart pointers:
// what a C++ program brings along, without exceptions.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#define NOINLINE __attribute__((noinline))

static int destroyed = 0;

struct Shape {
	virtual ~Shape() { destroyed++; }
	virtual double area() const = 0;
	virtual const char *name() const { return "shape"; }
};

struct Circle final : Shape {
	explicit Circle(double r) : r(r) {}
	double area() const override { return 3.14159265358979 * r * r; }
	const char *name() const override { return "circle"; }
	double r;
};

struct Box : Shape {
	Box(double w, double h) : w(w), h(h) {}
	double area() const override { return w * h; }
	const char *name() const override { return "box"; }
	double w, h;
};

struct Named {
	virtual std::string label() const = 0;
	virtual ~Named() = default;
};

// Square has two bases, so that a call through the second adjusts this.
struct Square : Box, Named {
	explicit Square(double s) : Box(s, s) {}
	const char *name() const override { return "square"; }
	std::string label() const override { return std::string("side ") + std::to_string(static_cast<int>(w)); }
};

// Registry is filled by constructors that run before main.
struct Registry {
	static std::map<std::string, int> &all()
	{
		static std::map<std::string, int> map;
		return map;
	}
	Registry(const char *name, int value) { all()[name] = value; }
};
static Registry one("one", 1), two("two", 2), three("three", 3);
static std::vector<int> ready(10, 7);

struct AtExit {
	~AtExit() { std::printf("at exit: %d destroyed\n", destroyed); }
} at_exit;

NOINLINE double total_area(int count)
{
	std::vector<std::unique_ptr<Shape>> shapes;
	for (int i = 0; i < count; i++) {
		switch (i % 3) {
		case 0: shapes.push_back(std::make_unique<Circle>(i % 10)); break;
		case 1: shapes.push_back(std::make_unique<Box>(i % 7, 2)); break;
		default: shapes.push_back(std::make_unique<Square>(i % 5)); break;
		}
	}
	double sum = 0;
	for (auto &s : shapes)
		sum += s->area();
	return sum;
}

NOINLINE uint64_t sort_records(int count)
{
	struct Record { uint32_t key; std::string text; };
	std::vector<Record> records;
	uint32_t x = 99;
	for (int i = 0; i < count; i++) {
		x = x * 1664525 + 1013904223;
		records.push_back({x >> 12, "record number " + std::to_string(x % 1000)});
	}
	std::sort(records.begin(), records.end(), [](const Record &a, const Record &b) {
		return a.key != b.key ? a.key < b.key : a.text < b.text;
	});
	uint64_t sum = 0;
	for (auto &r : records)
		sum = sum * 31 + r.key + r.text.size();
	return sum;
}

NOINLINE int count_words(int rounds)
{
	std::unordered_map<std::string, int> counts;
	for (int i = 0; i < rounds; i++)
		counts["word" + std::to_string(i * 7919 % 501)] += i % 3;
	std::map<int, int> histogram;
	for (auto &[word, n] : counts)
		histogram[n]++;
	int result = 0;
	for (auto [n, times] : histogram)
		result = result * 17 + n * times;
	return result;
}

template <typename T> NOINLINE T fold(int n, std::function<T(T, T)> f, T start)
{
	std::vector<T> v(n);
	std::iota(v.begin(), v.end(), T(1));
	return std::accumulate(v.begin(), v.end(), start, f);
}

int main()
{
	std::printf("registry:");
	for (auto &[name, value] : Registry::all())
		std::printf(" %s=%d", name.c_str(), value);
	std::printf(", ready %d\n", std::accumulate(ready.begin(), ready.end(), 0));
	std::printf("area %.6f, %d destroyed\n", total_area(30000), destroyed);
	std::printf("sorted %016llx\n", static_cast<unsigned long long>(sort_records(20000)));
	std::printf("words %d\n", count_words(60000));
	int offset = 5;
	std::printf("fold %lld %.3f\n",
		    static_cast<long long>(fold<int64_t>(50000, [&](int64_t a, int64_t b) { return a * 3 % 1000003 + b + offset; }, 0)),
		    fold<double>(50000, [](double a, double b) { return a / 2 + b; }, 0));
	Square s(4);
	const Named *named = &s;
	const Shape *shape = &s;
	std::printf("%s %s %.1f\n", named->label().c_str(), shape->name(), shape->area());
	return 0;
}
