// Virtual calls, small objects, a sort with a comparison object.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>
struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
};
struct Square : Shape {
  double a;
  explicit Square(double a) : a(a) {}
  double area() const override { return a * a; }
};
struct Ring : Shape {
  double r;
  explicit Ring(double r) : r(r) {}
  double area() const override {
    double s = 0;
    for (int i = 0; i < 8; i++) s += r * r / (i + 1);
    return s;
  }
};
int main() {
  double sum = 0;
  unsigned x = 1;
  for (int round = 0; round < 10; round++) {
    std::vector<std::unique_ptr<Shape>> v;
    for (int i = 0; i < 60000; i++) {
      x = x * 1664525 + 1013904223;
      if (x >> 31)
        v.push_back(std::make_unique<Square>(x >> 20));
      else
        v.push_back(std::make_unique<Ring>(x >> 20));
    }
    std::sort(v.begin(), v.end(), [](auto &a, auto &b) { return a->area() < b->area(); });
    for (auto &s : v) sum += s->area();
  }
  std::printf("%f\n", sum);
}
