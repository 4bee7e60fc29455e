package chaintest

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
)

// canonical returns JSON with sorted names, one value in a line, and equal numbers in one notation.
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

// plain writes equal numbers in one notation: 1.50 and 15e-1 as 1.5.
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

// comparedDigits bounds the numbers that are compared by value: longer ones are compared as text.
const comparedDigits = 1000

func number(n json.Number) json.Number {
	literal := n.String()
	_, exponent, hasExponent := strings.Cut(strings.ToLower(literal), "e")
	if len(literal) > comparedDigits || (hasExponent && len(strings.TrimLeft(exponent, "+-0")) > 3) {
		return n
	}
	r, ok := new(big.Rat).SetString(literal)
	if !ok {
		return n
	}
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	digits, _ := r.FloatPrec()
	return json.Number(r.FloatString(digits))
}

const (
	// around is the number of equal lines before and after a difference.
	around = 3
	// differentLines is the maximum number of differing lines that are shown of a text.
	differentLines = 200
)

// difference shows two texts from the first to the last differing line, with a few lines around these.
func difference(want, found string) string {
	a := strings.Split(want, "\n")
	b := strings.Split(found, "\n")
	shorter := min(len(a), len(b))
	// how many lines are equal at the beginning, and at the end
	var first, last int
	for first < shorter && a[first] == b[first] {
		first++
	}
	for last < shorter-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	var out strings.Builder
	add := func(mark string, lines []string, most int) {
		for i, line := range lines {
			if i == most {
				out.WriteString("    …\n")
				break
			}
			out.WriteString(mark + line + "\n")
		}
	}
	begin := max(0, first-around)
	if begin > 0 {
		out.WriteString("    …\n")
	}
	add("    ", a[begin:first], around)
	add("  - ", a[first:len(a)-last], differentLines)
	add("  + ", b[first:len(b)-last], differentLines)
	add("    ", a[len(a)-last:], around)
	return strings.TrimSuffix(out.String(), "\n")
}
