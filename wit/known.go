package wit

import (
	"bytes"
	"slices"
	"strings"
)

// Known is what a plugin knows of its service that a check of a row in doubt depends upon: words with commas between
// them, in order. A word is a letter, which says what is known, and up to three letters, digits, - and _, which say of
// what; `*` in their place says that it may be so of everything, and a word `*` that anything may be.
type Known string

// MaxKnown is how many bytes a [Known] may have: it stands with each offset that is committed.
const MaxKnown = 16

const knownLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_*,"

// KnownIn returns what stands in front of a context, "" for nothing.
func KnownIn(context []byte) Known {
	line, ok := bytes.CutPrefix(context[:min(len(context), len(HintKnown)+MaxKnown+1)], []byte(HintKnown))
	words, _, whole := strings.Cut(string(line), "\n")
	if !ok || !whole || strings.Trim(words, knownLetters) != "" {
		return ""
	}
	return Known(words)
}

// With returns both together. Where that is too long, words lose what they are about.
func (k Known) With(other Known) Known {
	if other == "" || k == other {
		return k
	}
	words := strings.Split(string(k+","+other), ",")
	joined := func() string {
		slices.Sort(words)
		return strings.Trim(strings.Join(slices.Compact(words), ","), ",")
	}
	if all := joined(); len(all) <= MaxKnown && !slices.Contains(words, "*") {
		return Known(all)
	}
	for i, word := range words {
		words[i] = word[:min(len(word), 1)] + "*"
	}
	if all := joined(); len(all) <= MaxKnown && !slices.Contains(words, "**") {
		return Known(all)
	}
	return "*"
}

// Says reports whether a word is among them.
func (k Known) Says(word string) bool {
	for one := range strings.SplitSeq(string(k), ",") {
		if one == word || one == "*" || one == word[:1]+"*" {
			return true
		}
	}
	return false
}
