package write

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Steps of a row: what its next request is for, where that is not what it begins with.
const (
	// stepConfirm asks for a read of an entity whose DELETE was answered 412: is it gone?
	stepConfirm = "confirm"
	stepInsert  = "insert"
	stepUpdate  = "update"
)

// hint is how a row is to be encoded once more, as settle has said it. The host keeps it as a text.
type hint struct {
	// step is one of the steps, or the host's `uncertain`.
	step string
	// alone: in a changeset of its own; single: in no batch; most: with so many others in a batch at most, 0 for any
	// number.
	alone, single bool
	most          int
	// stops is how many batches ended at an operation before the row's.
	stops int
	// address: the entity's address is refused, and it is asked whether the service answers for the set; addressed: it
	// does.
	address, addressed bool
	// bare: without If-Match in spite of etag = any, since the service takes none, or may take none.
	bare bool
	// gone is the status by which an update has said that the entity isn't there, after an insert was refused because
	// it is; 0: none has.
	gone int
	// moved: a delivery of the row may have had another RequestID, see [wit.HintMoved]. known is what an earlier run,
	// too, knew of the service.
	moved bool
	known wit.Known
	// tagged: the ETag was read, "" where the entity has none.
	tagged bool
	tag    string
}

// wordTag begins the word of an ETag, which is the last one because it may hold blanks.
const wordTag = "etag="

// hintWord is a field of a hint: a flag or a number.
type hintWord struct {
	name   string
	flag   func(*hint) *bool
	number func(*hint) *int
}

// hintWords are the names of a hint's fields, but its step and ETag, in its text. Numbers stand after an equals sign.
var hintWords = []hintWord{
	{"alone", func(h *hint) *bool { return &h.alone }, nil},
	{"single", func(h *hint) *bool { return &h.single }, nil},
	{"most", nil, func(h *hint) *int { return &h.most }},
	{"stops", nil, func(h *hint) *int { return &h.stops }},
	{"address", func(h *hint) *bool { return &h.address }, nil},
	{"addressed", func(h *hint) *bool { return &h.addressed }, nil},
	{"bare", func(h *hint) *bool { return &h.bare }, nil},
	{"gone", nil, func(h *hint) *int { return &h.gone }},
	{wit.HintMoved, func(h *hint) *bool { return &h.moved }, nil},
}

// text is what the host keeps.
func (h hint) text() string {
	if h == (hint{}) {
		return ""
	}
	var words []string
	for _, w := range hintWords {
		switch {
		case w.flag != nil && *w.flag(&h):
			words = append(words, w.name)
		case w.number != nil && *w.number(&h) > 0:
			words = append(words, w.name+"="+strconv.Itoa(*w.number(&h)))
		}
	}
	if h.known != "" {
		words = append(words, wit.HintKnown+string(h.known))
	}
	if h.step != "" {
		words = append(words, h.step)
	}
	if h.tagged {
		words = append(words, wordTag+h.tag)
	}
	return strings.Join(words, " ")
}

func readHint(text string) (h hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, wordTag); ok {
			h.tagged, h.tag = true, tag
			return h
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		if known, ok := strings.CutPrefix(word, wit.HintKnown); ok {
			h.known = wit.Known(known)
			continue
		}
		name, number, _ := strings.Cut(word, "=")
		at := slices.IndexFunc(hintWords, func(w hintWord) bool { return w.name == name })
		switch {
		case at < 0:
			h.step = word
		case hintWords[at].flag != nil:
			*hintWords[at].flag(&h) = true
		default:
			*hintWords[at].number(&h), _ = strconv.Atoi(number)
		}
	}
	return h
}

// to is the hint for another step, without what the one before has read.
func (h hint) to(step string) hint {
	h.step, h.tagged, h.tag = step, false, ""
	return h
}

func (h hint) uncertain() bool { return h.step == wit.HintUncertain }
