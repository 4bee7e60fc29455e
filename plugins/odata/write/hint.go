package write

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Steps of a row: what its next request is for, where that is not what it begins with.
const (
	// hintConfirm asks for a read of an entity whose DELETE was answered 412: is it gone?
	hintConfirm = "confirm"
	stepInsert  = "insert"
	stepUpdate  = "update"
	// stepStored asks for a read of an entity that is there although its insert was refused, stepLooked inserts it once
	// more after that.
	stepStored = "stored"
	stepLooked = "looked"
	// stepSearch stands in the memo of a search by a record's contents that another one follows.
	stepSearch = "search"
)

// hint is how a row is to be encoded anew, as `settle` has said it.
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
	// tagged: the ETag was read, "" where the entity has none.
	tagged bool
	tag    string
}

const (
	wordAlone, wordSingle = "alone", "single"
	wordMost, wordTag     = "most=", "etag="
	wordAddress           = "address"
	wordAddressed         = "addressed"
	wordBare, wordGone    = "bare", "gone="
	wordStops             = "stops="
)

// text is what the host keeps.
func (h hint) text() string {
	var words []string
	if h.alone {
		words = append(words, wordAlone)
	}
	if h.single {
		words = append(words, wordSingle)
	}
	if h.most > 0 {
		words = append(words, wordMost+strconv.Itoa(h.most))
	}
	if h.stops > 0 {
		words = append(words, wordStops+strconv.Itoa(h.stops))
	}
	if h.address {
		words = append(words, wordAddress)
	}
	if h.addressed {
		words = append(words, wordAddressed)
	}
	if h.bare {
		words = append(words, wordBare)
	}
	if h.gone > 0 {
		words = append(words, wordGone+strconv.Itoa(h.gone))
	}
	if h.step != "" {
		words = append(words, h.step)
	}
	if h.tagged {
		words = append(words, wordTag+h.tag) // it may hold blanks, so it is the last
	}
	return strings.Join(words, " ")
}

func readHint(text string) (h hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, wordTag); ok {
			h.tagged, h.tag = true, tag
			break
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		most, limited := strings.CutPrefix(word, wordMost)
		gone, missing := strings.CutPrefix(word, wordGone)
		stops, behind := strings.CutPrefix(word, wordStops)
		switch {
		case limited:
			h.most, _ = strconv.Atoi(most)
		case missing:
			h.gone, _ = strconv.Atoi(gone)
		case behind:
			h.stops, _ = strconv.Atoi(stops)
		case word == wordBare:
			h.bare = true
		case word == wordAlone:
			h.alone = true
		case word == wordSingle:
			h.single = true
		case word == wordAddress:
			h.address = true
		case word == wordAddressed:
			h.addressed = true
		default:
			h.step = word
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
