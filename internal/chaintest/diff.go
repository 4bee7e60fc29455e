package chaintest

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
)

// canonicalJSON returns JSON with sorted names, one value in a line, and equal numbers in one notation.
func canonicalJSON(text []byte) (string, error) {
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
	if err := e.Encode(normalizeNumbers(v)); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// normalizeNumbers writes equal numbers in one notation: 1.50 and 15e-1 as 1.5.
func normalizeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = normalizeNumbers(v[name])
		}
	case []any:
		for i := range v {
			v[i] = normalizeNumbers(v[i])
		}
	case json.Number:
		return normalizeNumber(v)
	}
	return v
}

// Bounds of the numbers that are compared by value: longer ones are compared as text.
const (
	comparedDigits         = 1000
	comparedExponentDigits = 3
)

func normalizeNumber(n json.Number) json.Number {
	literal := n.String()
	_, exponent, hasExponent := strings.Cut(strings.ToLower(literal), "e")
	exponentDigits := strings.TrimLeft(exponent, "+-0") // without sign and leading zeros
	if len(literal) > comparedDigits || (hasExponent && len(exponentDigits) > comparedExponentDigits) {
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
	// contextLines is the number of equal lines before and after a difference.
	contextLines = 3
	// differingLines is the maximum number of differing lines that are shown of a text.
	differingLines = 200
)

// difference shows two texts from the first to the last differing line, with a few lines around these.
func difference(want, found string) string {
	wantLines := strings.Split(want, "\n")
	foundLines := strings.Split(found, "\n")
	shorter := min(len(wantLines), len(foundLines))
	// how many lines are equal at the beginning, and at the end
	var first, last int
	for first < shorter && wantLines[first] == foundLines[first] {
		first++
	}
	for last < shorter-first && wantLines[len(wantLines)-1-last] == foundLines[len(foundLines)-1-last] {
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
	begin := max(0, first-contextLines)
	if begin > 0 {
		out.WriteString("    …\n")
	}
	add("    ", wantLines[begin:first], contextLines)
	add("  - ", wantLines[first:len(wantLines)-last], differingLines)
	add("  + ", foundLines[first:len(foundLines)-last], differingLines)
	add("    ", wantLines[len(wantLines)-last:], contextLines)
	return strings.TrimSuffix(out.String(), "\n")
}
