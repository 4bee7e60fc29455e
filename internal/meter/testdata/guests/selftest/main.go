// Selftest is a guest that uses most of Go's runtime: maps, JSON, sorting, goroutines, channels, the garbage collector,
// panics. Its results depend on the seed only.
package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"runtime"
	"sort"
	"strings"
	"sync"
)

func main() {}

// run returns a number computed from all results; a seed divisible by 7 ends in a panic that is not recovered.
//
//go:wasmexport run
func run(seed uint32) uint64 {
	fatal := seed%7 == 0 // before next changes the seed
	h := fnv.New64a()
	next := func() uint32 {
		seed = seed*1664525 + 1013904223
		return seed >> 8
	}

	words := map[string]int{}
	for range 2000 {
		words[fmt.Sprintf("w%d", next()%300)]++
	}
	var keys []string
	for k := range words {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(a, b int) bool {
		return words[keys[a]] < words[keys[b]] || (words[keys[a]] == words[keys[b]] && keys[a] < keys[b])
	})

	text, _ := json.Marshal(map[string]any{"keys": keys, "words": words, "f": float64(next()) / 3})
	var decoded map[string]any
	err := json.Unmarshal(text, &decoded)
	fmt.Fprint(h, string(text), err, len(decoded))

	results := make(chan int)
	var wait sync.WaitGroup
	for n := range 20 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			results <- n * len(strings.Repeat(keys[n], 1000))
		}()
	}
	go func() { wait.Wait(); close(results) }()
	sum := 0
	for r := range results {
		sum += r
	}

	runtime.GC()
	fmt.Fprint(h, sum, recoverText(func() { _ = keys[len(keys)+int(next()%3)] }), recoverText(func() { panic(sum) }))

	big := make([]byte, 1<<20+next()%1000)
	copy(big[len(big)/3:], text)
	copy(big, big[len(big)/4:])
	h.Write(big)

	if fatal {
		panic("seed")
	}
	return h.Sum64()
}

// recoverText returns the text of the panic of f, or "nothing" if f returns.
func recoverText(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return "nothing"
}
