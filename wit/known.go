package wit

import (
	"bytes"
	"slices"
	"strings"
)

// Known holds the facts that a plugin has learned about its service and needs later to check rows in doubt, for example
// that the service replaces the keys of inserted entities. They outlive the plugin's run: a plugin passes them to the
// host in its context (see [KnownIn]), the host stores them with each committed offset and returns them in hints (see
// [HintKnown]).
//
// Known is the encoded form: words separated by commas, sorted. A word is a letter for the fact, and up to three
// letters, digits, - and _ for its subject. The subject `*` means every subject, and the word `*` every fact of every
// subject. The empty Known has no facts.
type Known string

// MaxKnown is the largest size of a [Known] in bytes. The metadata of a committed offset has room for no more.
const MaxKnown = 16

const knownLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_*,"

// ContextFresh is the first line of the context of a sink plugin that was opened again because it was stale. The host
// removes it after a minute.
const ContextFresh = "fresh\n"

// KnownIn returns the facts in the line of a plugin's context after [ContextFresh], if present: [HintKnown] and a
// [Known]; else "".
func KnownIn(context []byte) Known {
	context = bytes.TrimPrefix(context, []byte(ContextFresh))
	start := context[:min(len(context), len(HintKnown)+MaxKnown+1)] // 1 for the line end
	line, _, isComplete := strings.Cut(string(start), "\n")
	words, isKnown := strings.CutPrefix(line, HintKnown)
	if !isComplete || !isKnown || strings.Trim(words, knownLetters) != "" {
		return ""
	}
	return Known(words)
}

// With returns the facts of both. If they are too long, subjects are dropped, so that it may contain further facts.
func (k Known) With(other Known) Known {
	if other == "" || k == other {
		return k
	}
	return parseFacts(string(k + "," + other)).encode()
}

// Contains reports whether a fact, encoded as a word, is known of its subject or of every subject.
func (k Known) Contains(word string) bool {
	facts := parseFacts(string(k))
	return facts.has(word) || facts.has(ofEverySubject(word)) || facts.has(everyFact)
}

// factSet holds the words of a [Known], sorted and distinct.
type factSet []string

// everyFact is the word for every fact of every subject.
const everyFact = "*"

// ofEverySubject returns the word for the same fact of every subject.
func ofEverySubject(word string) string { return word[:1] + "*" }

func parseFacts(words string) factSet {
	facts := strings.FieldsFunc(words, func(r rune) bool { return r == ',' })
	slices.Sort(facts)
	return slices.Compact(facts)
}

func (f factSet) has(word string) bool { return slices.Contains(f, word) }

// encode returns the facts in at most [MaxKnown] bytes: with their subjects, else of every subject, else every fact.
func (f factSet) encode() Known {
	if f.has(everyFact) {
		return everyFact
	}
	words := strings.Join(f, ",")
	if len(words) > MaxKnown {
		words = strings.Join(f.withoutSubjects(), ",")
	}
	if len(words) > MaxKnown {
		return everyFact
	}
	return Known(words)
}

// withoutSubjects returns the same facts of every subject.
func (f factSet) withoutSubjects() factSet {
	var facts factSet
	for _, word := range f {
		facts = append(facts, ofEverySubject(word))
	}
	return slices.Compact(facts)
}
