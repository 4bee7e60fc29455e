package rest

import (
	"time"

	"github.com/culvert-project/culvert/internal/deadletters"
)

// ConnectorLetters counts the dead letters of a connector that are neither delivered nor discarded.
type ConnectorLetters struct {
	// LettersOpen counts original records or rows. Nil means unknown: the worker that owns the connector has not read
	// its dead letter topic yet or may not read it, or the connector has none. LettersMore means that older letters,
	// which were not read, may be open as well.
	LettersOpen *int64 `json:"letters_open"`
	LettersMore bool   `json:"letters_more,omitempty"`
	// Causes are the most frequent ones, for users who may see values of samples.
	Causes []DeadLetterCause `json:"causes,omitempty"`
}

// listedCauses is the number of causes of a connector in a list of connectors.
const listedCauses = 3

// mergeLetters replaces unknown numbers by the numbers of the worker that owns the connector.
func (l *ConnectorLetters) mergeLetters(other ConnectorLetters) {
	if l.LettersOpen == nil {
		*l = other
	}
}

// DeadLetterCause counts the open dead letters of one cause.
type DeadLetterCause struct {
	ID     string `json:"id"`
	Text   string `json:"text"` // a message without its quoted, bracketed and numeric parts
	Count  int    `json:"count"`
	Newest string `json:"newest"` // when the newest of them failed
}

// shownCauses returns the REST form of causes, which only users may see who may see values of samples: messages quote
// them.
func shownCauses(counts []deadletters.CauseCount, redact func(string) string) []DeadLetterCause {
	causes := []DeadLetterCause{}
	for _, c := range counts {
		causes = append(causes, DeadLetterCause{ID: c.ID, Text: redact(c.Text), Count: c.Count,
			Newest: time.Unix(c.Newest, 0).UTC().Format(time.RFC3339)})
	}
	return causes
}
