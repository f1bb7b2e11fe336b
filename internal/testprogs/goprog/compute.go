package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
)

//go:noinline
func bigFactorial(n int64) *big.Int {
	f := big.NewInt(1)
	for i := int64(2); i <= n; i++ {
		f.Mul(f, big.NewInt(i))
	}
	return f
}

func bigmath([]string) {
	f := bigFactorial(1500).String()
	fmt.Println(len(f), f[:20])
	p := new(big.Int).Exp(big.NewInt(3), big.NewInt(4001), new(big.Int).Lsh(big.NewInt(1), 521))
	fmt.Println(p.Text(36))
}

//go:noinline
func hashRounds(n int) [32]byte {
	sum := sha256.Sum256([]byte("start"))
	for range n {
		sum = sha256.Sum256(sum[:])
	}
	return sum
}

func hash([]string) { fmt.Printf("%x\n", hashRounds(30000)) }

//go:noinline
func simulate(steps int) float64 {
	x, v := 1.0, 0.0
	for i := range steps {
		v -= math.Sin(x) * 0.001
		x += v * 0.001
		if i%1000 == 0 {
			x = math.Sqrt(x*x + 1e-9)
		}
	}
	return x
}

func floats([]string) {
	fmt.Println(simulate(300000))
	fmt.Println(math.Float64frombits(0x8000000000000000), math.Inf(-1), math.NaN(), float32(0.1))
	fmt.Printf("%.17g %g %e\n", math.Pi, math.MaxFloat64, math.SmallestNonzeroFloat64)
}

type animal struct {
	Name   string         `json:"name"`
	Legs   int            `json:"legs,omitempty"`
	Sounds []string       `json:"sounds"`
	Extra  map[string]any `json:"extra"`
}

func encode([]string) {
	zoo := []animal{
		{Name: "cat \"tom\"", Legs: 4, Sounds: []string{"mew", "purr"}, Extra: map[string]any{"z": 1, "a": []int{1, 2}}},
		{Name: "fish", Extra: map[string]any{"deep": true, "ratio": 0.1, "none": nil}},
	}
	for range 200 {
		data, err := json.Marshal(zoo)
		if err != nil {
			panic(err)
		}
		zoo = nil
		if err := json.Unmarshal(data, &zoo); err != nil {
			panic(err)
		}
	}
	data, err := json.MarshalIndent(zoo, "", " ")
	fmt.Println(string(data), err)
	fmt.Println(json.Unmarshal([]byte(`{"name": 5}`), &animal{}))
}

func expressions([]string) {
	re := regexp.MustCompile(`(?i)\b(\w+)@([a-z0-9.-]+)\.(com|org)\b`)
	text := strings.Repeat("write to Ann@example.com, bob@test.org or nobody@nowhere; ", 300)
	found := re.FindAllStringSubmatch(text, -1)
	fmt.Println(len(found), found[0], found[1])
	fmt.Println(re.ReplaceAllString(text[:50], "<$2:$1>"))
	_, err := regexp.Compile(text[:1] + "(b")
	fmt.Println(err)
}

func maps([]string) {
	counts := map[string]int{}
	for i := range 50000 {
		counts[fmt.Sprint("key", i*7919%3001)] += i
	}
	for i := range 1000 {
		delete(counts, fmt.Sprint("key", i))
	}
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	fmt.Println(len(keys), keys[0], counts[keys[0]], keys[len(keys)-1], counts[keys[len(keys)-1]])
	nested := map[[2]int]map[float64]struct{}{}
	for i := range 100 {
		k := [2]int{i % 3, i % 5}
		if nested[k] == nil {
			nested[k] = map[float64]struct{}{}
		}
		nested[k][float64(i)/2] = struct{}{}
	}
	fmt.Println(len(nested), len(nested[[2]int{1, 1}]))
}

func stdin([]string) {
	words := map[string]int{}
	lines := 0
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lines++
		for _, w := range strings.Fields(in.Text()) {
			words[strings.ToLower(strings.Trim(w, ".,;:()"))]++
		}
	}
	var list []string
	for w, n := range words {
		list = append(list, fmt.Sprintf("%3d %s", n, w))
	}
	slices.Sort(list)
	slices.Reverse(list)
	fmt.Println(lines, "lines,", len(words), "words")
	for _, l := range list[:min(5, len(list))] {
		fmt.Println(l)
	}
}
