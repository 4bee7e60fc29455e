package chaintest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// canonical is JSON with sorted names, one value in a line, and numbers that are equal written alike.
func canonical(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(plain(v)); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// plain writes numbers of one value in one way: 1.50 and 15e-1 as 1.5.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case json.Number:
		return number(v)
	}
	return v
}

// comparedDigits bounds the numbers that are compared by value: others are compared as they are written.
const comparedDigits = 1000

func number(n json.Number) json.Number {
	text := n.String()
	_, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if len(text) > comparedDigits || found && len(strings.TrimLeft(exponent, "+-0")) > 3 {
		return n
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return n
	}
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	digits, _ := r.FloatPrec()
	return json.Number(r.FloatString(digits))
}

// comparedLines bounds the texts that are compared line by line.
const comparedLines = 2000

// difference shows two texts line by line, with few of the lines that both have.
func difference(want, found string) string {
	a, b := strings.Split(want, "\n"), strings.Split(found, "\n")
	if len(a) > comparedLines || len(b) > comparedLines {
		return firstDifference(a, b)
	}
	// common[i][j] is how many lines a[i:] and b[j:] have in common.
	common := make([][]uint16, len(a)+1)
	for i := range common {
		common[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var all []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all = append(all, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			all = append(all, "- "+a[i])
			i++
		default:
			all = append(all, "+ "+b[j])
			j++
		}
	}
	return near(all)
}

// around is how many equal lines are shown before and after those that differ.
const around = 3

// near leaves out the equal lines that are far from others.
func near(all []string) string {
	shown := make([]bool, len(all))
	for i, line := range all {
		if line[0] != ' ' {
			for k := max(0, i-around); k <= min(len(all)-1, i+around); k++ {
				shown[k] = true
			}
		}
	}
	var out []string
	for i, line := range all {
		switch {
		case shown[i]:
			out = append(out, "  "+line)
		case i == 0 || shown[i-1]:
			out = append(out, "    …")
		}
	}
	return strings.Join(out, "\n")
}

// firstDifference is for texts that are too long for more.
func firstDifference(a, b []string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	line := func(of []string) string {
		if i < len(of) {
			return of[i]
		}
		return "(the end)"
	}
	return fmt.Sprintf("    line %d of %d and %d:\n  - %s\n  + %s", i+1, len(a), len(b), line(a), line(b))
}
