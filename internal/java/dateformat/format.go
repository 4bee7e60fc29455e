// Package dateformat formats and parses times like java.text.SimpleDateFormat, in UTC and with the names and weeks of
// Locale.US. Plugins use it for transforms, the host for converters.
package dateformat

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Format is a pattern of java.text.SimpleDateFormat in UTC with the names and weeks of Locale.US, which is the locale
// of Kafka's image and of most workers. There a week begins on Sunday, and a year's first week contains January 1st.
type Format struct {
	items []item
	// Unit is the smallest interval that the pattern shows, in milliseconds. All times in it have the same text.
	Unit int64
	// template is the text of a pattern without its numbers, which have a fixed width. It is nil for other patterns.
	template []byte
	numbers  []Number
}

// Number is a number in a formatted time: its index At, its Field (year, month, day, hour, minute, second, millisecond)
// and its number of digits.
type Number struct {
	At     int
	Field  int
	Digits int
}

// Fixed returns a template and the places of its numbers if formatted times consist of literals and numbers of fixed
// width, until the year 9999; otherwise it returns nil.
func (f *Format) Fixed() (text []byte, numbers []Number) { return f.template, f.numbers }

// fixedLetters contains the letters of numbers with a fixed width until the year 9999, by [Number].Field.
const fixedLetters = "yMdHmsS"

// fixedDigits contains the widths of the numbers of fixedLetters.
var fixedDigits = [...]int{4, 2, 2, 2, 2, 2, 3}

// setFixed sets template and numbers, if the pattern has only literals and numbers of fixed width.
func (f *Format) setFixed() {
	var template []byte
	for _, x := range f.items {
		field := strings.IndexByte(fixedLetters, x.letter)
		switch {
		case x.letter == 0:
			template = append(template, x.text...)
			continue
		case field < 0 || x.count != fixedDigits[field]:
			f.numbers = nil
			return
		}
		f.numbers = append(f.numbers, Number{At: len(template), Field: field, Digits: x.count})
		template = append(template, make([]byte, x.count)...)
	}
	f.template = template
}

// item is a run of one letter, or a literal (letter 0).
type item struct {
	letter byte
	count  int
	text   string
	units  []uint16 // the text in UTF-16, which Java compares
}

const (
	second = 1000
	hour   = 3600 * second
	day    = 24 * hour
)

// letters contains the pattern letters of SimpleDateFormat.
const letters = "GyMdkHmsSEDFwWahKzZYuXL"

// MustParse is [Parse] for a valid pattern. It panics on errors.
func MustParse(pattern string) *Format {
	f, err := Parse(pattern)
	if err != nil {
		panic(err)
	}
	return f
}

// Parse parses a pattern. The error is Java's message for an invalid pattern.
func Parse(pattern string) (*Format, error) {
	f := &Format{Unit: day}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			f.items = append(f.items, item{text: text.String(), units: utf16.Encode([]rune(text.String()))})
			text.Reset()
		}
	}
	isQuoted := false
	for i := 0; i < len(pattern); i++ {
		b := pattern[i]
		switch {
		case b == '\'' && i+1 < len(pattern) && pattern[i+1] == '\'':
			text.WriteByte(b)
			i++
		case b == '\'':
			isQuoted = !isQuoted
		case isQuoted || b|0x20 < 'a' || b|0x20 > 'z':
			text.WriteByte(b)
		case strings.IndexByte(letters, b) < 0:
			return nil, errors.New("Illegal pattern character '" + string(rune(b)) + "'")
		default:
			flush()
			from := i
			for i+1 < len(pattern) && pattern[i+1] == b {
				i++
			}
			count := i + 1 - from
			if b == 'X' && count > 3 {
				return nil, errors.New("invalid ISO 8601 format: length=" + strconv.Itoa(count))
			}
			f.items = append(f.items, item{letter: b, count: count})
			f.Unit = min(f.Unit, unitOf(b))
		}
	}
	flush()
	if isQuoted {
		return nil, errors.New("Unterminated quote")
	}
	f.setFixed()
	return f, nil
}

// unitOf returns the smallest interval in milliseconds at which the text of a letter changes.
func unitOf(letter byte) int64 {
	switch letter {
	case 'S':
		return 1
	case 's':
		return second
	case 'm':
		return 60 * second
	case 'H', 'k', 'K', 'h', 'a':
		return hour
	}
	return day
}

var (
	months = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December"}
	weekdays = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
)

// Append appends a formatted time, in milliseconds since 1970.
func (f *Format) Append(dst []byte, millis int64) []byte {
	d := dateOf(FloorDiv(millis, day))
	sinceMidnight := millis - d.days*day
	h := sinceMidnight / hour
	for i := range f.items {
		x := &f.items[i]
		n := int64(0)
		switch x.letter {
		case 0:
			dst = append(dst, x.text...)
			continue
		case 'G':
			dst = append(dst, eras[d.era()][0]...)
			continue
		case 'y':
			n = yearDigits(d.yearOfEra(), x.count)
		case 'Y':
			n = yearDigits(d.weekYear(), x.count)
		case 'M', 'L':
			if x.count >= 3 {
				dst = append(dst, shortName(months[d.month-1], x.count)...)
				continue
			}
			n = d.month
		case 'E':
			dst = append(dst, shortName(weekdays[d.weekday()], x.count)...)
			continue
		case 'a':
			dst = append(dst, [...]string{"AM", "PM"}[h/12]...)
			continue
		case 'z':
			if x.count >= 4 {
				dst = append(dst, "Coordinated Universal Time"...)
			} else {
				dst = append(dst, "UTC"...)
			}
			continue
		case 'Z':
			dst = append(dst, "+0000"...)
			continue
		case 'X':
			dst = append(dst, 'Z')
			continue
		case 'd':
			n = d.dayOfMonth
		case 'D':
			n = d.dayOfYear()
		case 'F':
			n = d.weekdayInMonth()
		case 'w':
			n = d.week()
		case 'W':
			n = d.weekOfMonth()
		case 'u': // 1 for Monday
			n = (d.weekday()+6)%7 + 1
		case 'H':
			n = h
		case 'k': // 1 to 24
			n = (h+23)%24 + 1
		case 'K': // 0 to 11
			n = h % 12
		case 'h': // 1 to 12
			n = (h+11)%12 + 1
		case 'm':
			n = sinceMidnight / (60 * second) % 60
		case 's':
			n = sinceMidnight / second % 60
		case 'S':
			n = sinceMidnight % second
		}
		dst = appendPadded(dst, n, x.count)
	}
	return dst
}

// yearDigits returns a year, or its last two digits if the pattern has two letters. A week year may be negative.
func yearDigits(year int64, count int) int64 {
	if count == 2 {
		return year % 100
	}
	return year
}

// shortName returns the first three letters of a name if the pattern has fewer than four.
func shortName(name string, count int) string {
	if count < 4 {
		return name[:3]
	}
	return name
}

func appendPadded(dst []byte, n int64, digits int) []byte {
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	var b [20]byte
	decimal := strconv.AppendInt(b[:0], n, 10)
	for ; digits > len(decimal); digits-- {
		dst = append(dst, '0')
	}
	return append(dst, decimal...)
}

// FloorDiv is java.lang.Math.floorDiv.
func FloorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// FloorMod is java.lang.Math.floorMod.
func FloorMod(a, b int64) int64 { return a - FloorDiv(a, b)*b }
