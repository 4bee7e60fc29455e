// Package dateformat formats and parses times like java.text.SimpleDateFormat, in UTC and with the names of Locale.US.
// Plugins use it for transforms, the host for converters. It supports the pattern letters of dates, times of day and
// time zones, not those of eras, weeks, days of the year and hours up to 24.
package dateformat

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Format is a pattern of java.text.SimpleDateFormat in UTC with the names of Locale.US, which is the locale of Kafka's
// image and of most workers.
type Format struct {
	items []item
	// Unit is the smallest interval that the pattern shows, in milliseconds. All times in it have the same text.
	Unit int64
	// template is the text of a pattern whose numbers have a fixed width, without the numbers. It is nil for other
	// patterns.
	template []byte
	numbers  []Number
}

// Number is a number in a formatted time: its index At, its Field (year, month, day, hour, minute, second, millisecond)
// and its number of digits.
type Number struct{ At, Field, Digits int }

// Fixed returns a template and the places of its numbers if formatted times consist of literals and numbers of fixed
// width, until the year 9999; otherwise it returns nil.
func (f *Format) Fixed() (text []byte, numbers []Number) { return f.template, f.numbers }

// fixed contains the letters of numbers with a fixed width until the year 9999, in the order of [Number].
const fixed = "yMdHmsS"

var fixedDigits = [...]int{4, 2, 2, 2, 2, 2, 3}

// setFixed computes template and numbers.
func (f *Format) setFixed() {
	var blank []byte
	for _, x := range f.items {
		which := strings.IndexByte(fixed, x.letter)
		switch {
		case x.letter == 0:
			blank = append(blank, x.text...)
			continue
		case which < 0 || x.count != fixedDigits[which]:
			f.numbers = nil
			return
		}
		f.numbers = append(f.numbers, Number{len(blank), which, x.count})
		blank = append(blank, make([]byte, x.count)...)
	}
	f.template = blank
}

// item is a run of one letter, or a literal (letter 0).
type item struct {
	letter byte
	count  int
	text   string
	// units is the text in UTF-16, which Java compares.
	units []uint16
}

const (
	second = 1000
	hour   = 3600 * second
	day    = 24 * hour
)

// Supported letters, and the other letters of SimpleDateFormat.
const (
	letters     = "yMdHhmsSEazZX"
	unsupported = "GkDFwWKYuL"
)

// UnsupportedError is a pattern letter that Java supports and this package does not.
type UnsupportedError struct{ Letter byte }

func (u *UnsupportedError) Error() string {
	return "the pattern letter '" + string(rune(u.Letter)) + "' is not supported; supported are " + letters
}

// MustParse is [Parse] for a valid pattern. It panics on errors.
func MustParse(pattern string) *Format {
	f, err := Parse(pattern)
	if err != nil {
		panic(err)
	}
	return f
}

// Parse parses a pattern. The error is an [*UnsupportedError], or Java's message for an invalid pattern.
func Parse(pattern string) (*Format, error) {
	f := &Format{Unit: day}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			f.items = append(f.items, item{text: text.String(), units: utf16.Encode([]rune(text.String()))})
			text.Reset()
		}
	}
	quoted := false
	for i := 0; i < len(pattern); i++ {
		b := pattern[i]
		switch {
		case b == '\'' && i+1 < len(pattern) && pattern[i+1] == '\'':
			text.WriteByte(b)
			i++
		case b == '\'':
			quoted = !quoted
		case quoted || b|0x20 < 'a' || b|0x20 > 'z':
			text.WriteByte(b)
		case strings.IndexByte(unsupported, b) >= 0:
			return nil, &UnsupportedError{b}
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
	if quoted {
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
	case 'H', 'h', 'a':
		return hour
	}
	return day
}

var (
	months = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December"}
	weekdays = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
)

// Append appends a formatted time. at is in milliseconds since 1970.
func (f *Format) Append(dst []byte, at int64) []byte {
	days := FloorDiv(at, day)
	rest := at - days*day
	year, month, dayOfMonth := dateOf(days)
	h := rest / hour
	for i := range f.items {
		x := &f.items[i]
		n := int64(0)
		switch x.letter {
		case 0:
			dst = append(dst, x.text...)
			continue
		case 'y':
			if n = year; n <= 0 { // before Christ
				n = 1 - n
			}
			if x.count == 2 {
				n %= 100
			}
		case 'M':
			if x.count >= 3 {
				dst = append(dst, shortName(months[month-1], x.count)...)
				continue
			}
			n = month
		case 'E':
			dst = append(dst, shortName(weekdays[FloorMod(days+4, 7)], x.count)...)
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
			n = dayOfMonth
		case 'H':
			n = h
		case 'h':
			n = (h+11)%12 + 1
		case 'm':
			n = rest / (60 * second) % 60
		case 's':
			n = rest / second % 60
		case 'S':
			n = rest % second
		}
		dst = appendPadded(dst, n, x.count)
	}
	return dst
}

// shortName returns the first three letters of a name if the pattern has fewer than four.
func shortName(name string, count int) string {
	if count < 4 {
		return name[:3]
	}
	return name
}

func appendPadded(dst []byte, n int64, digits int) []byte {
	var b [20]byte
	text := strconv.AppendInt(b[:0], n, 10)
	for ; digits > len(text); digits-- {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// cutover is the first Gregorian day of java.util.GregorianCalendar, 1582-10-15, in days since 1970.
const cutover = -141427

// dateOf returns the date of a day since 1970, in the Julian calendar before the cutover. The year 0 is 1 BC.
func dateOf(days int64) (year, month, dayOfMonth int64) {
	// Years are counted from March of the year 0, so that a leap day is the last day of its year.
	var dayOfYear uint32 // 32 bits are divided faster
	if days >= cutover {
		z := days + 719468
		era := z / 146097
		of := uint32(z - era*146097)
		inEra := (of - of/1460 + of/36524 - of/146096) / 365
		year, dayOfYear = era*400+int64(inEra), of-(365*inEra+inEra/4-inEra/100)
	} else {
		z := days + 719470
		era := FloorDiv(z, 1461)
		of := uint32(z - era*1461)
		inEra := min(of/365, 3)
		year, dayOfYear = era*4+int64(inEra), of-365*inEra
	}
	m := (5*dayOfYear + 2) / 153
	dayOfMonth = int64(dayOfYear - (153*m+2)/5 + 1)
	if month = int64((m+2)%12 + 1); month <= 2 {
		year++
	}
	return year, month, dayOfMonth
}

func gregorianDays(year, month, day int64) int64 {
	year, days := marchDays(year, month, day)
	return 365*year + FloorDiv(year, 4) - FloorDiv(year, 100) + FloorDiv(year, 400) + days - 719468
}

func julianDays(year, month, day int64) int64 {
	year, days := marchDays(year, month, day)
	return 365*year + FloorDiv(year, 4) + days - 719470
}

// marchDays returns the year that began in March and the days since then. Month 13 is January of the next year.
func marchDays(year, month, day int64) (inYear, days int64) {
	if month <= 2 {
		year--
		month += 12
	}
	return year, (153*(month-3)+2)/5 + day - 1
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
