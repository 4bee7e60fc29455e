package requests

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Steps of a row that needs several requests. The first request of a row has no step.
const (
	StepConfirm = "confirm" // read an entity whose DELETE was answered 412, to see whether it is deleted
	StepInsert  = "insert"
	StepUpdate  = "update"
)

// Hint specifies how to encode a row again. The host stores its text. The zero hint is a row's first encoding.
type Hint struct {
	Step           string
	OwnChangeset   bool // in a batch, the row gets a changeset of its own
	NoBatch        bool
	MaxBatchSize   int       // limits the operations of the batch. Zero means no limit.
	StoppedBatches int       // batches that the service stopped before the row
	ProbeSet       bool      // read any entity of the set, because the address of the row's entity was rejected
	SetReadable    bool      // the set could be read
	NoIfMatch      bool      // send no If-Match although it is configured
	NotFoundStatus int       // status of an update that found no entity after an insert had found one. Zero means none.
	SentByOther    bool      // another worker may have sent the row with another RequestID, see [wit.HintMoved]
	Known          wit.Known // facts of earlier runs
	WholeEntity    bool      // read the ETag without $select, because a read with it failed
	HasETag        bool      // the entity's ETag was read
	ETag           string    // "" if the entity has none
}

// The ETag is the last word, because it may contain blanks.
const etagWord = "etag="

// hintWord is the stored word for a field of the hint: a flag, or a number that is not 0. One of the functions is nil.
type hintWord struct {
	name   string
	flag   func(*Hint) *bool
	number func(*Hint) *int
}

var hintWords = []hintWord{
	{"alone", func(h *Hint) *bool { return &h.OwnChangeset }, nil},
	{"single", func(h *Hint) *bool { return &h.NoBatch }, nil},
	{"most", nil, func(h *Hint) *int { return &h.MaxBatchSize }},
	{"stops", nil, func(h *Hint) *int { return &h.StoppedBatches }},
	{"address", func(h *Hint) *bool { return &h.ProbeSet }, nil},
	{"addressed", func(h *Hint) *bool { return &h.SetReadable }, nil},
	{"bare", func(h *Hint) *bool { return &h.NoIfMatch }, nil},
	{"gone", nil, func(h *Hint) *int { return &h.NotFoundStatus }},
	{"whole", func(h *Hint) *bool { return &h.WholeEntity }, nil},
	{wit.HintMoved, func(h *Hint) *bool { return &h.SentByOther }, nil},
}

// Text encodes the hint.
func (h Hint) Text() string {
	etag := h.ETag
	h.ETag = ""
	switch h { // the frequent hints
	case Hint{}:
		return ""
	case Hint{HasETag: true}:
		return etagWord + etag
	}
	var words []string
	for _, word := range hintWords {
		switch {
		case word.flag != nil && *word.flag(&h):
			words = append(words, word.name)
		case word.number != nil && *word.number(&h) > 0:
			words = append(words, word.name+"="+strconv.Itoa(*word.number(&h)))
		}
	}
	if h.Known != "" {
		words = append(words, wit.HintKnown+string(h.Known))
	}
	if h.Step != "" {
		words = append(words, h.Step)
	}
	if h.HasETag {
		words = append(words, etagWord+etag)
	}
	return strings.Join(words, " ")
}

// parseHint decodes a hint. A word that is not in hintWords is the step.
func parseHint(text string) (hint Hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, etagWord); ok {
			hint.HasETag = true
			hint.ETag = tag
			return hint
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		if facts, ok := strings.CutPrefix(word, wit.HintKnown); ok {
			hint.Known = wit.Known(facts)
			continue
		}
		name, number, _ := strings.Cut(word, "=")
		index := slices.IndexFunc(hintWords, func(w hintWord) bool { return w.name == name })
		switch {
		case index < 0:
			hint.Step = word
		case hintWords[index].flag != nil:
			*hintWords[index].flag(&hint) = true
		default:
			*hintWords[index].number(&hint), _ = strconv.Atoi(number)
		}
	}
	return hint
}

// ForStep returns the hint for another step, without the ETag.
func (h Hint) ForStep(step string) Hint {
	h.Step = step
	h.HasETag = false
	h.ETag = ""
	return h
}

func (h *Hint) isUncertain() bool { return h.Step == wit.HintUncertain }
