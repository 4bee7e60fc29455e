package wit

import (
	"bytes"
	"slices"
	"strings"
)

// Known lists what a plugin knows of its service and needs to check rows in doubt: words separated by commas, sorted. A
// word is a letter for the fact, and up to three letters, digits, - and _ for its subject; `*` as the subject stands
// for every subject, and the word `*` for every fact.
type Known string

// MaxKnown is the largest size of a [Known] in bytes: it is stored with each committed offset.
const MaxKnown = 16

const knownLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_*,"

// KnownIn returns the Known at the start of a context, or "".
func KnownIn(context []byte) Known {
	line, ok := bytes.CutPrefix(context[:min(len(context), len(HintKnown)+MaxKnown+1)], []byte(HintKnown))
	words, _, whole := strings.Cut(string(line), "\n")
	if !ok || !whole || strings.Trim(words, knownLetters) != "" {
		return ""
	}
	return Known(words)
}

// With returns the union of both. If that is too long, `*` replaces the subjects.
func (k Known) With(other Known) Known {
	if other == "" || k == other {
		return k
	}
	words := strings.Split(string(k+","+other), ",")
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
	if slices.Contains(words, "*") {
		return "*"
	}
	if union := joinWords(words); len(union) <= MaxKnown {
		return union
	}
	for i, word := range words {
		words[i] = word[:1] + "*"
	}
	if union := joinWords(words); len(union) <= MaxKnown {
		return union
	}
	return "*"
}

// joinWords returns the distinct words in order.
func joinWords(words []string) Known {
	distinct := slices.Compact(slices.Sorted(slices.Values(words)))
	return Known(strings.Join(distinct, ","))
}

// Contains reports whether k contains a word or a `*` that stands for it.
func (k Known) Contains(word string) bool {
	for one := range strings.SplitSeq(string(k), ",") {
		if one == word || one == "*" || one == word[:1]+"*" {
			return true
		}
	}
	return false
}
