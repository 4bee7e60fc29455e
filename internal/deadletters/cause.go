package deadletters

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/shown"
)

// UnknownCause is the identifier of all causes beyond [maxCauseTexts] together. It selects letters of several faults,
// so letters can be listed by it, but not replayed or discarded.
const UnknownCause = "00000000"

// CauseCount counts the open dead letters of one cause.
type CauseCount struct {
	ID     string // [Letter.CauseID] or [UnknownCause]
	Text   string // see [CauseText]
	Count  int
	Newest int64 // when the newest of them failed, in Unix seconds
}

// causeID identifies the cause of a dead letter by class, stage and text. Zero stands for causes without a kept text.
type causeID uint32

func (id causeID) String() string { return fmt.Sprintf("%08x", uint32(id)) }

// cause returns the identifier of the dead letter's cause and its text, see [CauseText].
func (l *Letter) cause() (id causeID, text string) {
	text = CauseText(l.Message)
	if text == "" {
		text = shown.Line(l.Class)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", l.Class, l.Stage, text))
	return causeID(binary.BigEndian.Uint32(sum[:])), text
}

// CauseID returns the identifier of the dead letter's cause: letters of one fault have the same.
func (l *Letter) CauseID() string {
	id, _ := l.cause()
	return id.String()
}

var closingMarks = map[rune]rune{'"': '"', '`': '`', '\'': '\'', '“': '”', '„': '“', '«': '»', '‘': '’', '(': ')',
	'[': ']', '{': '}'}

// CauseText returns the first line of a message without what differs between letters of one fault: quoted and bracketed
// parts become "…" and (…), numbers and other words of hexadecimal digits #. An unclosed part extends to the end,
// because messages are cut.
func CauseText(message string) string {
	message, _, _ = strings.Cut(strings.TrimSpace(message), "\n")
	message = message[:min(len(message), 8*shown.MaxLine)] // bounds the work; the result is one line
	var b strings.Builder
	last := ' '                // the previous rune
	unsearched := len(message) // length of the end of the message that was not searched for a number yet
	for len(message) > 0 {
		r, runeSize := utf8.DecodeRuneInString(message)
		end, ok := closingMarks[r]
		number := 0
		if !isWordRune(last) && len(message) <= unsearched {
			size, next := findNumber(message)
			number = size
			unsearched = len(message) - next
		}
		switch {
		case ok && (r != '\'' || !isWordRune(last)): // not an apostrophe
			b.WriteString(string(r) + "…" + string(end))
			message = message[closingMark(message, r, end):]
			last = end
			continue
		case number > 0:
			b.WriteByte('#')
			message = message[number:]
			last = '#'
			continue
		case unicode.IsDigit(r): // within a word
			if last != '0' {
				b.WriteByte('#')
			}
			message = message[runeSize:]
			last = '0'
			continue
		}
		b.WriteRune(r)
		message = message[runeSize:]
		last = r
	}
	return shown.Line(b.String())
}

// closingMark returns the position after the mark that closes the one at the beginning, or the end of text.
func closingMark(text string, open, end rune) int {
	depth := 0
	escaped := false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = open == end // between two different marks a backslash is like any other character
		case r == end && (i > 0 || open != end): // not the opening quote itself
			depth--
			if depth == 0 || open == end {
				return i + utf8.RuneLen(r)
			}
		case r == open:
			depth++
		}
	}
	return len(text)
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// minHexDigits is the least length of an identifier with letters: abc1 and 5xx may be words of a message.
const minHexDigits = 8

// findNumber returns the size of the number, time or identifier of hexadecimal digits at the beginning. Zero means that
// no number begins before next.
func findNumber(text string) (size, next int) {
	isNumberRune := func(r rune) bool {
		return unicode.IsDigit(r) || strings.ContainsRune("abcdefABCDEFxXTZ.,:-+", r)
	}
	span := text[:len(text)-len(strings.TrimLeftFunc(text, isNumberRune))]
	word := strings.TrimRight(span, ".,:-+")
	following, _ := utf8.DecodeRuneInString(text[len(word):])
	var digits, letters, lettersEnd int
	for i, r := range word {
		if unicode.IsDigit(r) {
			digits++
		} else if unicode.IsLetter(r) {
			letters++
			lettersEnd = i + 1
		}
	}
	switch {
	case digits == 0 || isWordRune(following): // no digit, or the beginning of a longer word
		return 0, len(span)
	case letters > 0 && digits+letters < minHexDigits:
		return 0, lettersEnd // a number may begin after the last letter
	}
	return len(word), len(word)
}
