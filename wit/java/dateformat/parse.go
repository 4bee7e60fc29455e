package dateformat

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf16"
)

// This file reads texts as java.text.SimpleDateFormat does in its lenient mode, in UTC and with the names of Locale.US.
// It differs in three ways, and fails where it does: of names of time zones those of zones.go are known; of years with
// two digits those that are another one in some years are refused (a plugin has no clock); and so are years of weeks
// whose milliseconds 64 bits do not hold, where Java wraps around. Other years and their milliseconds wrap as in Java.

// digits tells whether what a letter stands for is read as digits.
func (x *item) digits() bool {
	switch x.letter {
	case 0, 'G', 'E', 'a', 'z', 'Z', 'X':
		return false
	case 'M', 'L':
		return x.count <= 2
	}
	return true
}

// calendarField is a field of java.util.Calendar that texts set.
type calendarField int

const (
	eraField calendarField = iota
	yearField
	monthField
	weekField
	weekOfMonthField
	dayField
	dayOfYearField
	weekdayField
	weekdayInMonthField
	halfField
	hour12Field
	hourField
	minuteField
	secondField
	milliField
	zoneField
	savingField
	weekYearField
	fieldCount
)

// fieldOf are the fields of letters.
var fieldOf = map[byte]calendarField{
	'G': eraField, 'y': yearField, 'M': monthField, 'L': monthField, 'd': dayField, 'k': hourField, 'H': hourField,
	'm': minuteField,
	's': secondField, 'S': milliField, 'E': weekdayField, 'D': dayOfYearField, 'F': weekdayInMonthField, 'w': weekField,
	'W': weekOfMonthField, 'a': halfField, 'h': hour12Field, 'K': hour12Field, 'z': zoneField, 'Z': zoneField,
	'X': zoneField,
	'Y': weekYearField, 'u': weekdayField,
}

// Years of two digits are those from 80 years before the day on which Java's format was made to 20 years after. A
// plugin does not know that day: it lies between clockFrom and clockTo, and what the years between would read otherwise
// fails.
const (
	clockFrom = 2026
	clockTo   = 2036
)

// maxYear is the largest year, before and after 1, whose milliseconds since 1970 fit 64 bits, other fields at their
// largest aside. It counts for texts with a year of weeks.
const maxYear = 290_000_000

// Parser reads texts by a format.
type Parser struct {
	Format *Format
	text   []uint16
	// set tells in which order the fields were set, 0 for never; value is what they were set to.
	set   [fieldCount]int
	value [fieldCount]int64
	sets  int
	// unsure is set by a year of two digits that may mean two.
	unsure bool
	// Zoned is set by a text that named a time zone other than UTC. Java's format goes on in that zone: what it writes
	// is in the zone's time, summer time included, until it reads of another.
	Zoned bool
	// since is the first time by the zone's clock at which its offset is the one that is known here.
	since int64
}

// Parse reads a text; of what follows nothing is read, as in Java. unsure tells that the text fails for its
// year alone.
func (p *Parser) Parse(text string) (at int64, unsure, ok bool) {
	p.text = p.text[:0]
	for _, r := range text {
		p.text = utf16.AppendRune(p.text, r)
	}
	p.set, p.value, p.sets, p.unsure = [fieldCount]int{}, [fieldCount]int64{}, 0, false
	p.Zoned, p.since = false, math.MinInt64
	pos := 0
	items := p.Format.items
	for i := range items {
		x := &items[i]
		if x.letter == 0 {
			for _, u := range x.units {
				if pos >= len(p.text) || p.text[pos] != u {
					return 0, false, false
				}
				pos++
			}
			continue
		}
		// Of digits with nothing between them and the next ones each letter takes one.
		counted := i+1 < len(items) && items[i+1].digits()
		if pos = p.field(x, pos, counted); pos < 0 {
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
	at = p.time()
	return at, p.unsure, !p.unsure && (!p.Zoned || at+p.value[zoneField] >= p.since)
}

func (p *Parser) put(f calendarField, value int64) {
	p.sets++
	p.set[f], p.value[f] = p.sets, value
}

// field reads one field and returns where the text goes on, or -1.
func (p *Parser) field(x *item, start int, counted bool) int {
	pos := start
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
		return p.name(f, start, [][]string{{"BC", "Before Christ"}, {"AD", "Anno Domini"}})
	case 'E':
		return p.name(f, start, weekdayNames)
	case 'a':
		return p.name(f, start, [][]string{{"AM"}, {"PM"}})
	case 'z', 'Z':
		return p.zone(start, pos)
	case 'X':
		return p.isoZone(pos, x.count)
	case 'M', 'L':
		if x.count > 2 {
			return p.name(f, start, monthNames)
		}
	}
	digits := p.text
	if counted {
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
	case 'u':
		if n >= 1 && n <= 7 {
			n = n%7 + 1
		}
	}
	p.put(f, n)
	return end
}

// century is the year that two digits stand for.
func (p *Parser) century(n int64) int64 {
	if n >= (clockFrom-80)%100 && n <= (clockTo-80)%100 {
		p.unsure = true
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

// withShort is each name with its short form, the first one at an index.
func withShort(names []string, first int) [][]string {
	list := make([][]string, first, first+len(names))
	for _, name := range names {
		list = append(list, []string{name, name[:3]})
	}
	return list
}

// name reads the longest of the names that stands at a place, whose index is the field's value.
func (p *Parser) name(f calendarField, start int, names [][]string) int {
	best, longest := 0, 0
	for i := range names {
		for _, name := range names[i] {
			if len(name) > longest && p.at(start, name) {
				best, longest = i, len(name)
			}
		}
	}
	if longest == 0 {
		return -1
	}
	p.put(f, int64(best))
	return start + longest
}

// at tells whether an ASCII text stands at a place, letters of either case.
func (p *Parser) at(start int, text string) bool {
	if start+len(text) > len(p.text) {
		return false
	}
	for i := range len(text) {
		a, b := unicode.ToUpper(rune(p.text[start+i])), unicode.ToUpper(rune(text[i]))
		if a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return false
		}
	}
	return true
}

// zone reads what the letters z and Z take: +hhmm, GMT, GMT+h:mm, or the name of a zone.
func (p *Parser) zone(start, pos int) int {
	sign := signOf(p.text[pos])
	if sign != 0 {
		return p.offset(pos+1, sign, 0, false)
	}
	if p.at(start, "GMT") {
		if pos = start + 3; pos < len(p.text) {
			sign = signOf(p.text[pos])
		}
		if sign != 0 {
			return p.offset(pos+1, sign, 0, true)
		}
		p.putZone(0)
		return pos
	}
	for _, name := range []string{"Coordinated Universal Time", "UTC"} {
		if p.at(pos, name) {
			return pos + len(name) // a name sets no offset: one that was read before counts
		}
	}
	for i := range zones {
		z := &zones[i]
		for _, name := range z.names {
			if p.at(pos, name) {
				p.putZone(z.minutes * 60 * second)
				p.Zoned, p.since = true, gregorianDays(z.year, 1, 1)*day
				return pos + len(name)
			}
		}
	}
	return -1
}

// isoZone reads what the letter X takes: Z, +hh, +hhmm or +hh:mm by the number of letters.
func (p *Parser) isoZone(pos, count int) int {
	if p.text[pos] == 'Z' {
		p.putZone(0)
		return pos + 1
	}
	sign := signOf(p.text[pos])
	if sign == 0 {
		return -1
	}
	return p.offset(pos+1, sign, count, count == 3)
}

func signOf(u uint16) int64 {
	switch u {
	case '+':
		return 1
	case '-':
		return -1
	}
	return 0
}

// offset reads hours and minutes; count is that of the letters X, 0 for others.
func (p *Parser) offset(pos int, sign int64, count int, colon bool) int {
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
	} else if count > 0 || !colon {
		return -1
	}
	if hours > 23 {
		return -1
	}
	minutes := int64(0)
	if count != 1 {
		if colon {
			if pos >= len(p.text) || p.text[pos] != ':' {
				return -1
			}
			pos++
		}
		tens := digit()
		ones := digit()
		if minutes = tens*10 + ones; tens < 0 || ones < 0 || minutes > 59 {
			return -1
		}
	}
	p.putZone((hours*60 + minutes) * 60 * second * sign)
	return pos
}

func (p *Parser) putZone(offset int64) {
	p.put(zoneField, offset)
	p.put(savingField, 0)
}

// javaNumber reads a number as java.text.DecimalFormat does where it reads whole numbers, and as an int takes it; end
// is -1 when there is none.
func javaNumber(text []uint16, pos int) (n int64, end int) {
	if len(text)-pos >= 3 && text[pos] == 'N' && text[pos+1] == 'a' && text[pos+2] == 'N' {
		return 0, pos + 3
	}
	negative := pos < len(text) && text[pos] == '-'
	if negative {
		pos++
	}
	if pos < len(text) && text[pos] == '∞' {
		if negative {
			return math.MinInt32, pos + 1
		}
		return math.MaxInt32, pos + 1
	}
	digits, from := javaDigits(text, pos)
	if from < 0 {
		return 0, -1
	}
	pos = from
	exponent := int64(0)
	if pos < len(text) && text[pos] == 'E' {
		at := pos + 1
		down := at < len(text) && text[at] == '-'
		if down {
			at++
		}
		if of, to := javaDigits(text, at); to >= 0 {
			if e, whole := wholeOf(of, 0, down); whole {
				exponent, pos = int64(int32(e)), to
			}
		}
	}
	if whole, fits := wholeOf(digits, exponent, negative); fits {
		return int64(int32(whole)), pos
	}
	return clipped(digits, exponent, negative), pos
}

// javaDigits reads digits of any script, without leading zeros; end is -1 when there is none.
func javaDigits(text []uint16, pos int) (digits []byte, end int) {
	end = -1
	for ; pos < len(text); pos++ {
		d := digitOf(rune(text[pos]))
		if d < 0 {
			break
		}
		if end = pos + 1; d > 0 || len(digits) > 0 {
			digits = append(digits, byte(d))
		}
	}
	return digits, end
}

// digitOf is a decimal digit's value, or -1. Those of a script stand side by side from a 0 on.
func digitOf(r rune) int {
	if r >= '0' && r <= '9' {
		return int(r - '0')
	}
	if r < 0x80 || !unicode.Is(unicode.Nd, r) {
		return -1
	}
	for _, x := range unicode.Nd.R16 {
		if r := uint16(r); r >= x.Lo && r <= x.Hi {
			return int(r-x.Lo) % 10
		}
	}
	return -1
}

// wholeOf is what digits come to that an exponent moves, where that is a whole number of 64 bits.
func wholeOf(digits []byte, exponent int64, negative bool) (n int64, ok bool) {
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits, exponent = digits[:len(digits)-1], exponent+1
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
	case !negative && u <= math.MaxInt64:
		return int64(u), true
	case negative && u <= 1<<63:
		return -int64(u), true
	}
	return 0, false
}

// clipped is a number that is no whole one of 64 bits, as a conversion from double to int gives it.
func clipped(digits []byte, exponent int64, negative bool) int64 {
	n := int64(0)
	whole := int64(len(digits)) + exponent
	for i := range min(max(whole, 0), 11) {
		n *= 10
		if i < int64(len(digits)) {
			n += int64(digits[i])
		}
	}
	if whole > 11 || n > math.MaxInt32 {
		n = math.MaxInt32
		if negative {
			return math.MinInt32
		}
	}
	if negative {
		n = -n
	}
	return n
}

// later is when the later of two fields was set, 0 when one of them was not.
func (p *Parser) later(a, b calendarField) int {
	if p.set[a] == 0 || p.set[b] == 0 {
		return 0
	}
	return max(p.set[a], p.set[b])
}

// time is the time that the fields come to, as java.util.GregorianCalendar resolves them.
func (p *Parser) time() int64 {
	if p.set[weekYearField] > p.set[yearField] {
		p.weekDate()
	}
	return p.date()*day + FloorMod(p.timeOfDay(), day) - p.value[zoneField]
}

// date is the day, with those that the time of day comes to.
func (p *Parser) date() int64 {
	year := int64(1970)
	if p.set[yearField] > 0 {
		year = p.value[yearField]
	}
	if p.set[eraField] > 0 && p.value[eraField] == 0 {
		year = int64(int32(1 - year)) // it is of 32 bits in Java
	}
	return p.day(year, FloorDiv(p.timeOfDay(), day))
}

// timeOfDay is the latest of hours, or of half days and their hours, with minutes and what is below, in milliseconds.
func (p *Parser) timeOfDay() int64 {
	hours := int64(0)
	half := p.later(hour12Field, halfField)
	best := max(half, p.set[hourField])
	if best == 0 {
		best = max(p.set[hour12Field], p.set[halfField])
	}
	switch {
	case best == 0:
	case best == p.set[hourField]:
		hours = p.value[hourField]
	default:
		hours = p.value[hour12Field] + 12*p.value[halfField]
	}
	return ((hours*60+p.value[minuteField])*60+p.value[secondField])*second + p.value[milliField]
}

// weekDate replaces a week of a year by the day that it names.
func (p *Parser) weekDate() {
	week, weekday := int64(1), int64(1)
	if p.set[weekField] > 0 {
		week = p.value[weekField]
	}
	if p.set[weekdayField] > 0 {
		weekday = p.value[weekdayField]
	}
	if weekday < 1 || weekday > 7 {
		if weekday >= 8 {
			weekday--
			week += weekday / 7
			weekday = weekday%7 + 1
		} else {
			back := (7 - weekday) / 7
			weekday += 7 * back
			week -= back
		}
		weekday = weekday%7 + 1
	}
	year := p.value[weekYearField]
	if of := dateOf(p.date()); of.era == 1 { // the era is that of the other fields
		year = 1 - year
	}
	d := dateOf(sunday(daysOf(year, 1, 1)) + int64(int32(weekday-1+7*(week-1))))
	p.put(eraField, int64(1-d.era))
	p.put(yearField, d.year)
	p.put(monthField, d.month-1)
	p.put(dayField, d.day)
}

// way is which fields tell the day.
type way int

const (
	byDay way = iota
	byWeekOfMonth
	byWeekdayInMonth
	byDayOfYear
	byWeekOfYear
)

// way is that of the fields that were set last.
func (p *Parser) way() way {
	of := func(f calendarField) int { return p.later(f, weekdayField) }
	stamps := [...]int{byDay: p.set[dayField], byWeekOfMonth: of(weekOfMonthField),
		byWeekdayInMonth: of(weekdayInMonthField),
		byDayOfYear:      p.set[dayOfYearField], byWeekOfYear: of(weekField)}
	best := slices.Max(stamps[:])
	if best == 0 {
		// None is complete: one alone counts, and a weekday alone is the month's first.
		stamps[byWeekOfMonth] = p.set[weekOfMonthField]
		stamps[byWeekdayInMonth] = max(p.set[weekdayInMonthField], p.set[weekdayField])
		stamps[byWeekOfYear] = p.set[weekField]
		if best = slices.Max(stamps[:]); best == 0 {
			return byDay
		}
	}
	weekOfMonth, inMonth := p.set[weekOfMonthField], p.set[weekdayInMonthField]
	switch {
	case best == stamps[byDay]:
		return byDay
	case best == stamps[byWeekOfMonth] && weekOfMonth >= p.set[weekField], best == stamps[byWeekdayInMonth] &&
		inMonth >= p.set[weekField]:
		switch {
		case stamps[byWeekOfMonth] == stamps[byWeekdayInMonth]:
			if weekOfMonth >= inMonth {
				return byWeekOfMonth
			}
			return byWeekdayInMonth
		case best == stamps[byWeekOfMonth]:
			return byWeekOfMonth
		}
		return byWeekdayInMonth
	case best == stamps[byDayOfYear]:
		return byDayOfYear
	}
	return byWeekOfYear
}

// day is the day that the fields name, more days on.
func (p *Parser) day(year, more int64) int64 {
	w := p.way()
	if year > 1582 || year == 1582 && w != byDayOfYear && w != byWeekOfYear {
		if days := p.dayIn(gregorianDays, w, year) + more; days >= cutover {
			return days
		}
	}
	return p.dayIn(julianDays, w, year) + more
}

// dayIn is the day in one of the two calendars.
func (p *Parser) dayIn(days func(year, month, day int64) int64, w way, year int64) int64 {
	if w == byDayOfYear || w == byWeekOfYear {
		first := days(year, 1, 1)
		if w == byDayOfYear {
			return first + p.value[dayOfYearField] - 1
		}
		start := sunday(first)
		if p.set[weekdayField] > 0 && p.value[weekdayField] != 1 {
			start = onOrBefore(start+6, p.value[weekdayField])
		}
		return start + 7*(p.value[weekField]-1)
	}
	month := p.value[monthField]
	year, month = int64(int32(year+FloorDiv(month, 12))), FloorMod(month, 12)
	first := days(year, month+1, 1)
	switch w {
	case byDay:
		if p.set[dayField] > 0 {
			first += p.value[dayField] - 1
		}
		return first
	case byWeekOfMonth:
		start := sunday(first)
		if p.set[weekdayField] > 0 {
			start = onOrBefore(start+6, p.value[weekdayField])
		}
		return start + int64(int32(7*(p.value[weekOfMonthField]-1)))
	}
	weekday, n := int64(1), int64(1)
	if p.set[weekdayField] > 0 {
		weekday = p.value[weekdayField]
	}
	if p.set[weekdayInMonthField] > 0 {
		n = p.value[weekdayInMonthField]
	}
	if n >= 0 {
		return onOrBefore(first+int64(int32(7*n))-1, weekday)
	}
	return onOrBefore(days(year, month+2, 1)+int64(int32(7*(n+1)))-1, weekday)
}

// onOrBefore is the last day up to one that is a weekday, 1 for Sunday.
func onOrBefore(days, weekday int64) int64 { return days - FloorMod(days+4-int64(int32(weekday-1)), 7) }
