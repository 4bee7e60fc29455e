package decode

// moment is a point in time as a service wrote it: the time on its clock, and how far that clock is from UTC.
type moment struct {
	// wall is the time on the clock, in milliseconds since 1970 as if it were UTC
	wall int64
	// micros are those after the milliseconds
	micros int64
	// zoned: offset, in minutes east of UTC, was given
	zoned  bool
	offset int64
}

const (
	msPerMinute = 60_000
	msPerDay    = 86_400_000
	// firstMs and lastMs are 0001-01-01T00:00:00 and 9999-12-31T23:59:59.999; julianMs is 0001-01-01 by the Julian
	// calendar, on which Java and ABAP count before 1582.
	firstMs  = -62_135_596_800_000
	julianMs = firstMs - 2*msPerDay
	lastMs   = 253_402_300_799_999
)

// utc is the moment in milliseconds since 1970.
func (m moment) utc() int64 { return m.wall - m.offset*msPerMinute }

// days since 1970 on the clock's own calendar.
func (m moment) days() int64 {
	days := m.wall / msPerDay
	if m.wall%msPerDay < 0 {
		days--
	}
	return days
}

// parse reads `/Date(ms)/`, `/Date(ms±minutes)/` or ISO 8601. Years 0001 to 9999; digits after microseconds are
// dropped.
//
// The milliseconds in front of an offset are those of the local clock, as Olingo, the SAP Cloud SDK for Java and UI5
// have it (the SDK for JavaScript takes them as UTC); SAP writes +0000, where both agree.
//
// Assumption: the two days before 0001-01-01 are the first two of the Julian calendar, since SAP S/4HANA writes the
// initial date of ABAP, 0001-01-01, as /Date(-62135769600000)/ in rows and as datetime'0001-01-01T00:00:00' in their
// addresses; other days before 1582 are taken as they are, since services of both calendars write them. 10000-01-01,
// /Date(253402300800000)/, is the end of time rounded up: 9999-12-31T23:59:59.999.
func (m *moment) parse(text []byte) bool {
	*m = moment{}
	ok := false
	if len(text) > 0 && text[0] == '/' {
		ok = m.parseTicks(text)
	} else {
		ok = m.parseISO(text)
	}
	return ok && firstMs <= m.wall && m.wall <= lastMs
}

func (m *moment) parseTicks(text []byte) bool {
	const front, back = "/Date(", ")/"
	if len(text) < len(front)+len(back)+1 || string(text[:len(front)]) != front ||
		string(text[len(text)-len(back):]) != back {
		return false
	}
	number := text[len(front) : len(text)-len(back)]
	// A sign after the first byte starts the offset.
	for i := 1; i < len(number); i++ {
		if number[i] == '+' || number[i] == '-' {
			if len(number)-i > 5 {
				return false
			}
			offset, ok := integer(number[i:], -9999, 9999)
			if !ok {
				return false
			}
			m.offset, m.zoned, number = offset, true, number[:i]
		}
	}
	var ok bool
	m.wall, ok = integer(number, julianMs, lastMs+1)
	switch {
	case m.wall < firstMs:
		m.wall += firstMs - julianMs
	case m.wall > lastMs:
		m.wall = lastMs
	}
	return ok && number[0] != '+'
}

// parseISO reads yyyy-mm-dd, then optionally Thh:mm, :ss, a fraction, and a zone.
func (m *moment) parseISO(text []byte) bool {
	year, okYear := digits(text, 0, 4)
	month, okMonth := digits(text, 5, 2)
	day, okDay := digits(text, 8, 2)
	if !okYear || !okMonth || !okDay || text[4] != '-' || text[7] != '-' || year < 1 || month < 1 || month > 12 ||
		day < 1 || day > daysIn(year, month) {
		return false
	}
	m.wall = daysSince1970(year, month, day) * msPerDay
	if len(text) == 10 {
		return true
	}
	hour, okHour := digits(text, 11, 2)
	minute, okMinute := digits(text, 14, 2)
	if !okHour || !okMinute || text[10] != 'T' || text[13] != ':' || hour > 23 || minute > 59 {
		return false
	}
	m.wall += (hour*60 + minute) * msPerMinute
	rest := text[16:]
	if len(rest) > 0 && rest[0] == ':' {
		second, ok := digits(rest, 1, 2)
		if !ok || second > 59 {
			return false
		}
		micros, after, ok := fraction(rest[3:])
		if !ok {
			return false
		}
		m.wall += second*1000 + micros/1000
		m.micros = micros % 1000
		rest = after
	}
	return m.parseZone(rest)
}

// parseZone reads nothing, Z, ±hh:mm, ±hhmm or ±hh.
func (m *moment) parseZone(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	m.zoned = true
	if len(text) == 1 {
		return text[0] == 'Z' || text[0] == 'z'
	}
	if text[0] != '+' && text[0] != '-' {
		return false
	}
	hours, ok := digits(text, 1, 2)
	minutes, okMinutes := int64(0), true
	switch len(text) {
	case 3:
	case 5:
		minutes, okMinutes = digits(text, 3, 2)
	case 6:
		minutes, okMinutes = digits(text, 4, 2)
		okMinutes = okMinutes && text[3] == ':'
	default:
		return false
	}
	if !ok || !okMinutes || hours > 23 || minutes > 59 {
		return false
	}
	m.offset = hours*60 + minutes
	if text[0] == '-' {
		m.offset = -m.offset
	}
	return true
}

// fraction reads a point and digits, if there are any, as microseconds.
func fraction(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' && text[0] != ',' {
		return 0, text, true
	}
	i := 1
	for unit := int64(100_000); i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		micros += int64(text[i]-'0') * unit
		unit /= 10
	}
	return micros, text[i:], i > 1
}

// digits reads exactly n digits at i.
func digits(text []byte, i, n int) (v int64, ok bool) {
	if i+n > len(text) {
		return 0, false
	}
	for _, c := range text[i : i+n] {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts on the Gregorian calendar, also before 1582. Years begin in March here, so that the leap day is
// the last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719_468
}

// clockTime reads a duration that is a time of day, PT12H34M56.789S, in milliseconds; years, months and days in front,
// P0DT12H, have to be 0. A sign, and 24 hours or more, are no time of day.
//
// Assumption: SAP's 24:00:00 (PT24H00M00S) has no place in Connect's Time and is refused.
func clockTime(text []byte) (int64, bool) {
	i := afterDate(text)
	if i == 0 || len(text) < i+2 {
		return 0, false
	}
	var ms int64
	units := "HMS"
	for i < len(text) {
		start := i
		for i < len(text) && '0' <= text[i] && text[i] <= '9' {
			i++
		}
		n, ok := integer(text[start:i], 0, msPerDay)
		if !ok || i == len(text) {
			return 0, false
		}
		part, rest, ok := fraction(text[i:])
		if !ok || len(rest) == 0 {
			return 0, false
		}
		fractional := len(rest) != len(text)-i
		i = len(text) - len(rest)
		for len(units) > 0 && units[0] != text[i] {
			units = units[1:]
		}
		if len(units) == 0 || fractional && units[0] != 'S' {
			return 0, false
		}
		switch units[0] {
		case 'H':
			n *= 60 * msPerMinute
		case 'M':
			n *= msPerMinute
		case 'S':
			n = n*1000 + part/1000
		}
		ms += n
		units, i = units[1:], i+1
	}
	return ms, ms < msPerDay
}

// afterDate is where the time of a duration begins, after its T; 0: it has none, or years, months or days in front
// that are not 0.
func afterDate(text []byte) int {
	if len(text) < 2 || text[0] != 'P' {
		return 0
	}
	units := "YMD"
	for i := 1; i < len(text); i++ {
		digits := i
		for i < len(text) && text[i] == '0' {
			i++
		}
		if i == len(text) {
			return 0
		}
		if i == digits && text[i] == 'T' {
			return i + 1
		}
		for len(units) > 0 && units[0] != text[i] {
			units = units[1:]
		}
		if i == digits || len(units) == 0 {
			return 0
		}
		units = units[1:]
	}
	return 0
}
