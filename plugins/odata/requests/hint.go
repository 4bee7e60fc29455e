package requests

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Steps of a row: what its next request is for, where that is not what it begins with.
const (
	// stepConfirm asks for a read of an entity whose DELETE was answered 412: is it gone?
	StepConfirm = "confirm"
	StepInsert  = "insert"
	StepUpdate  = "update"
)

// hint is how a row is to be encoded once more, as settle has said it. The host keeps it as a text.
type Hint struct {
	// step is one of the steps, or the host's `uncertain`.
	Step string
	// alone: in a changeset of its own; single: in no batch; most: with so many others in a batch at most, 0 for any
	// number.
	OwnChangeset, NoBatch bool
	MaxBatchSize          int
	// stops is how many batches ended at an operation before the row's.
	StoppedBatches int
	// address: the entity's address is refused, and it is asked whether the service answers for the set; addressed: it
	// does.
	ProbeSet, SetAnswers bool
	// bare: without If-Match in spite of etag = any, since the service takes none, or may take none.
	NoIfMatch bool
	// gone is the status by which an update has said that the entity isn't there, after an insert was refused because
	// it is; 0: none has.
	NotFoundStatus int
	// moved: a delivery of the row may have had another RequestID, see [wit.HintMoved]. known is what an earlier run,
	// too, knew of the service.
	Moved bool
	Known wit.Known
	// tagged: the ETag was read, "" where the entity has none.
	HasETag bool
	ETag    string
}

// wordTag begins the word of an ETag, which is the last one because it may hold blanks.
const etagWord = "etag="

// hintWord is a field of a hint: a flag or a number.
type hintWord struct {
	name   string
	flag   func(*Hint) *bool
	number func(*Hint) *int
}

// hintWords are the names of a hint's fields, but its step and ETag, in its text. Numbers stand after an equals sign.
var hintWords = []hintWord{
	{"alone", func(h *Hint) *bool { return &h.OwnChangeset }, nil},
	{"single", func(h *Hint) *bool { return &h.NoBatch }, nil},
	{"most", nil, func(h *Hint) *int { return &h.MaxBatchSize }},
	{"stops", nil, func(h *Hint) *int { return &h.StoppedBatches }},
	{"address", func(h *Hint) *bool { return &h.ProbeSet }, nil},
	{"addressed", func(h *Hint) *bool { return &h.SetAnswers }, nil},
	{"bare", func(h *Hint) *bool { return &h.NoIfMatch }, nil},
	{"gone", nil, func(h *Hint) *int { return &h.NotFoundStatus }},
	{wit.HintMoved, func(h *Hint) *bool { return &h.Moved }, nil},
}

// text is what the host keeps.
func (h Hint) Text() string {
	if h == (Hint{}) {
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
	if h.Known != "" {
		words = append(words, wit.HintKnown+string(h.Known))
	}
	if h.Step != "" {
		words = append(words, h.Step)
	}
	if h.HasETag {
		words = append(words, etagWord+h.ETag)
	}
	return strings.Join(words, " ")
}

func parseHint(text string) (h Hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, etagWord); ok {
			h.HasETag, h.ETag = true, tag
			return h
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		if known, ok := strings.CutPrefix(word, wit.HintKnown); ok {
			h.Known = wit.Known(known)
			continue
		}
		name, number, _ := strings.Cut(word, "=")
		at := slices.IndexFunc(hintWords, func(w hintWord) bool { return w.name == name })
		switch {
		case at < 0:
			h.Step = word
		case hintWords[at].flag != nil:
			*hintWords[at].flag(&h) = true
		default:
			*hintWords[at].number(&h), _ = strconv.Atoi(number)
		}
	}
	return h
}

// to is the hint for another step, without what the one before has read.
func (h Hint) ForStep(step string) Hint {
	h.Step, h.HasETag, h.ETag = step, false, ""
	return h
}

func (h Hint) isUncertain() bool { return h.Step == wit.HintUncertain }
