package dateformat

import (
	"math"
	"unicode"
	"unicode/utf16"

	"github.com/culvert-project/culvert/internal/java"
)

// isNumeric reports whether the item is read as digits.
func (i *item) isNumeric() bool {
	switch i.letter {
	case 0, 'G', 'E', 'a', 'z', 'Z', 'X':
		return false
	case 'M', 'L':
		return i.count <= 2
	}
	return true
}

// calendarField is a field of java.util.Calendar.
type calendarField int

const (
	eraField calendarField = iota
	yearField
	weekYearField
	monthField
	weekField
	weekOfMonthField
	dayField
	dayOfYearField
	weekdayField
	weekdayInMonthField
	amPMField
	hour12Field
	hourField
	minuteField
	secondField
	milliField
	zoneField
	fieldCount
)

// fieldOf contains the fields of the letters.
var fieldOf = map[byte]calendarField{'G': eraField, 'y': yearField, 'Y': weekYearField, 'M': monthField,
	'L': monthField, 'w': weekField, 'W': weekOfMonthField, 'd': dayField, 'D': dayOfYearField, 'E': weekdayField,
	'u': weekdayField, 'F': weekdayInMonthField, 'a': amPMField, 'h': hour12Field, 'K': hour12Field, 'H': hourField,
	'k': hourField, 'm': minuteField, 's': secondField, 'S': milliField, 'z': zoneField, 'Z': zoneField, 'X': zoneField}

// Java maps two-digit years to the time from 80 years before the creation of the format to 20 years after. Plugins do
// not know the current year. The parser accepts years that have the same meaning from clockFrom to clockTo.
const (
	clockFrom = 2026
	clockTo   = 2036
)

// maxYear is the largest year, before and after 1, for whose days 64 bits hold the milliseconds since 1970 if other
// fields have their largest values. Texts with a week year are only parsed up to it; Java's milliseconds overflow.
const maxYear = 290_000_000

// Parser parses times like java.text.SimpleDateFormat in its lenient mode, in UTC and with the names of Locale.US. It
// rejects unknown time zones, week years above 290,000,000, and two-digit years whose century depends on the current
// date, since plugins have no clock. Other large years overflow like in Java.
type Parser struct {
	Format      *Format
	text        []uint16
	set         [fieldCount]int   // the order in which the fields were set. Zero means unset.
	value       [fieldCount]int64 // the values of the fields
	sets        int               // counts the fields that were set
	isAmbiguous bool              // a two-digit year may have two meanings
	// Zoned means that the text has a time zone other than UTC. Java's format then keeps this zone, with summer time,
	// for what it formats, until it parses another one.
	Zoned     bool
	validFrom int64 // the first local time at which the zone has the known offset
}

// Parse parses the beginning of a text, like Java. millis is in milliseconds since 1970. isAmbiguous reports
// whether it failed only because of the two-digit year.
func (p *Parser) Parse(text string) (millis int64, isAmbiguous, ok bool) {
	p.text = p.text[:0]
	for _, r := range text {
		p.text = utf16.AppendRune(p.text, r)
	}
	p.set = [fieldCount]int{}
	p.value = [fieldCount]int64{}
	p.sets = 0
	p.isAmbiguous = false
	p.Zoned = false
	p.validFrom = math.MinInt64
	pos := 0
	items := p.Format.items
	for i := range items {
		x := &items[i]
		if x.letter == 0 {
			for _, unit := range x.units {
				if pos >= len(p.text) || p.text[pos] != unit {
					return 0, false, false
				}
				pos++
			}
			continue
		}
		// Adjacent numbers have as many digits as letters.
		hasFixedDigits := i+1 < len(items) && items[i+1].isNumeric()
		if pos = p.parseField(x, pos, hasFixedDigits); pos < 0 {
			return 0, false, false
		}
	}
	if pos == 0 {
		return 0, false, false
	}
	if p.set[weekYearField] > 0 && max(p.value[yearField], p.value[weekYearField], -p.value[yearField],
		-p.value[weekYearField]) > maxYear {
		return 0, false, false
	}
	millis = p.time()
	return millis, p.isAmbiguous, !p.isAmbiguous && (!p.Zoned || millis+p.value[zoneField] >= p.validFrom)
}

func (p *Parser) put(f calendarField, value int64) {
	p.sets++
	p.set[f] = p.sets
	p.value[f] = value
}

// parseField parses a field at start and sets it. Like the parsers below, it returns the index after the field, or -1.
func (p *Parser) parseField(x *item, start int, hasFixedDigits bool) int {
	pos := start // after blanks
	for ; ; pos++ {
		if pos >= len(p.text) {
			return -1
		}
		if p.text[pos] != ' ' && p.text[pos] != '\t' {
			break
		}
	}
	f := fieldOf[x.letter]
	switch x.letter {
	case 'G':
		return p.parseName(f, start, eras)
	case 'E':
		return p.parseName(f, start, weekdayNames)
	case 'a':
		return p.parseName(f, start, [][]string{{"AM"}, {"PM"}})
	case 'z', 'Z':
		return p.parseZone(start, pos)
	case 'X':
		// Z, +hh, +hhmm or +hh:mm, depending on the number of letters.
		if p.text[pos] == 'Z' {
			p.put(zoneField, 0)
			return pos + 1
		}
		sign := signOf(p.text[pos])
		if sign == 0 {
			return -1
		}
		separator := ""
		if x.count == 3 {
			separator = ":"
		}
		return p.parseOffset(pos+1, sign, x.count, separator)
	case 'M', 'L':
		if x.count > 2 {
			return p.parseName(f, start, monthNames)
		}
	}
	// All other items are numbers.
	digits := p.text
	if hasFixedDigits {
		if start+x.count > len(digits) {
			return -1
		}
		digits = digits[:start+x.count]
	}
	n, end := javaNumber(digits, pos)
	if end < 0 {
		return -1
	}
	switch x.letter {
	case 'y', 'Y':
		if x.count <= 2 && end-pos == 2 && unicode.IsDigit(rune(p.text[pos])) && unicode.IsDigit(rune(p.text[pos+1])) {
			n = p.century(n)
		}
	case 'M', 'L':
		n = int64(int32(n - 1))
	case 'k':
		if n == 24 {
			n = 0
		}
	case 'h':
		if n == 12 {
			n = 0
		}
	case 'u': // Monday is 1; Calendar's Sunday is 1
		if n >= 1 && n <= 7 {
			n = n%7 + 1
		}
	}
	p.put(f, n)
	return end
}

// century returns the year that two digits mean. It sets isAmbiguous.
func (p *Parser) century(n int64) int64 {
	if n >= (clockFrom-80)%100 && n <= (clockTo-80)%100 {
		p.isAmbiguous = true
	}
	n += (clockFrom - 80) / 100 * 100
	if n < clockFrom-80 {
		n += 100
	}
	return n
}

var (
	monthNames   = withShort(months[:], 0)
	weekdayNames = withShort(weekdays[:], 1)
)

// withShort returns the names with their short forms, preceded by first empty entries.
func withShort(names []string, first int) [][]string {
	list := make([][]string, first, first+len(names))
	for _, name := range names {
		list = append(list, []string{name, name[:3]})
	}
	return list
}

// parseName parses the longest matching name and sets the field to its index.
func (p *Parser) parseName(f calendarField, start int, names [][]string) int {
	best := 0
	longest := 0
	for i := range names {
		for _, name := range names[i] {
			if len(name) > longest && p.matchesAt(start, name) {
				best = i
				longest = len(name)
			}
		}
	}
	if longest == 0 {
		return -1
	}
	p.put(f, int64(best))
	return start + longest
}

// matchesAt reports whether an ASCII text occurs at an index, in any case.
func (p *Parser) matchesAt(start int, text string) bool {
	if start+len(text) > len(p.text) {
		return false
	}
	for i := range len(text) {
		a := unicode.ToUpper(rune(p.text[start+i]))
		b := unicode.ToUpper(rune(text[i]))
		if a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return false
		}
	}
	return true
}

// parseZone parses the letters z and Z: +hhmm, GMT, GMT+h:mm, or the name of a zone.
func (p *Parser) parseZone(start, pos int) int {
	sign := signOf(p.text[pos])
	if sign != 0 {
		return p.parseOffset(pos+1, sign, 0, "")
	}
	if p.matchesAt(start, "GMT") {
		if pos = start + 3; pos < len(p.text) {
			sign = signOf(p.text[pos])
		}
		if sign != 0 {
			return p.parseOffset(pos+1, sign, 0, ":")
		}
		p.put(zoneField, 0)
		return pos
	}
	for _, name := range []string{"Coordinated Universal Time", "UTC"} {
		if p.matchesAt(pos, name) {
			return pos + len(name) // a name does not change an offset that was set before
		}
	}
	for i := range zones {
		z := &zones[i]
		for _, name := range z.names {
			if p.matchesAt(pos, name) {
				p.put(zoneField, z.minutes*60*second)
				p.validFrom = gregorianDays(z.firstYear, 1, 1) * day
				p.Zoned = true
				return pos + len(name)
			}
		}
	}
	return -1
}

// signOf returns 1 or -1 for a sign, 0 for other characters.
func signOf(u uint16) int64 {
	switch u {
	case '+':
		return 1
	case '-':
		return -1
	}
	return 0
}

// parseOffset parses hours and minutes, between which is a separator: a colon or "". count is the number of letters X,
// 0 for other letters.
func (p *Parser) parseOffset(pos int, sign int64, count int, separator string) int {
	digit := func() int64 {
		if pos < len(p.text) && p.text[pos] >= '0' && p.text[pos] <= '9' {
			pos++
			return int64(p.text[pos-1] - '0')
		}
		return -1
	}
	hours := digit()
	if hours < 0 || pos >= len(p.text) {
		return -1
	}
	if next := digit(); next >= 0 {
		hours = hours*10 + next
	} else if count > 0 || separator == "" {
		return -1
	}
	if hours > 23 {
		return -1
	}
	minutes := int64(0)
	if count != 1 {
		if !p.matchesAt(pos, separator) {
			return -1
		}
		pos += len(separator)
		tens := digit()
		ones := digit()
		if minutes = tens*10 + ones; tens < 0 || ones < 0 || minutes > 59 {
			return -1
		}
	}
	p.put(zoneField, (hours*60+minutes)*60*second*sign)
	return pos
}

// javaNumber parses an integer like java.text.DecimalFormat and converts it to an int. end is -1 if there is none.
func javaNumber(text []uint16, pos int) (n int64, end int) {
	if len(text)-pos >= 3 && text[pos] == 'N' && text[pos+1] == 'a' && text[pos+2] == 'N' {
		return 0, pos + 3
	}
	isNegative := pos < len(text) && text[pos] == '-'
	if isNegative {
		pos++
	}
	if pos < len(text) && text[pos] == '∞' {
		if isNegative {
			return math.MinInt32, pos + 1
		}
		return math.MaxInt32, pos + 1
	}
	digits, digitsEnd := javaDigits(text, pos)
	if digitsEnd < 0 {
		return 0, -1
	}
	pos = digitsEnd
	exponent := int64(0)
	if pos < len(text) && text[pos] == 'E' {
		expPos := pos + 1
		isExpNegative := expPos < len(text) && text[expPos] == '-'
		if isExpNegative {
			expPos++
		}
		if expDigits, expEnd := javaDigits(text, expPos); expEnd >= 0 {
			if e, ok := integerOf(expDigits, 0, isExpNegative); ok {
				exponent = int64(int32(e))
				pos = expEnd
			}
		}
	}
	if integer, ok := integerOf(digits, exponent, isNegative); ok {
		return int64(int32(integer)), pos
	}
	return clip(digits, exponent, isNegative), pos
}

// javaDigits parses digits of any script without leading zeros. end is -1 if there is none.
func javaDigits(text []uint16, pos int) (digits []byte, end int) {
	end = -1
	for ; pos < len(text); pos++ {
		d := java.Digit(rune(text[pos]))
		if d < 0 {
			break
		}
		end = pos + 1
		if d > 0 || len(digits) > 0 {
			digits = append(digits, byte(d))
		}
	}
	return digits, end
}

// integerOf returns digits with an exponent as an integer; ok is false if that is not an integer of 64 bits.
func integerOf(digits []byte, exponent int64, isNegative bool) (n int64, ok bool) {
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
		exponent++
	}
	if len(digits) == 0 {
		return 0, true
	}
	if exponent < 0 || exponent > 19 || int64(len(digits))+exponent > 19 {
		return 0, false
	}
	u := uint64(0)
	for _, d := range digits {
		u = u*10 + uint64(d)
	}
	for range exponent {
		u *= 10
	}
	switch {
	case !isNegative && u <= math.MaxInt64:
		return int64(u), true
	case isNegative && u <= 1<<63:
		return -int64(u), true
	}
	return 0, false
}

// clip returns a number outside of 64-bit integers as Java converts it from double to int.
func clip(digits []byte, exponent int64, isNegative bool) int64 {
	const maxDigits = 11 // one more than an int has
	n := int64(0)
	intDigits := int64(len(digits)) + exponent
	for i := range min(max(intDigits, 0), maxDigits) {
		n *= 10
		if i < int64(len(digits)) {
			n += int64(digits[i])
		}
	}
	if intDigits > maxDigits || n > math.MaxInt32 {
		n = math.MaxInt32
		if isNegative {
			return math.MinInt32
		}
	}
	if isNegative {
		n = -n
	}
	return n
}
