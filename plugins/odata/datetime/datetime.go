// Package datetime reads points in time and times of day as OData v2 writes them: /Date(…)/ in JSON, ISO 8601 in Atom,
// URLs and settings, and the durations of Edm.Time. A [Zone] converts local times to UTC. Units are milliseconds, and
// ticks of 100 ns as in EDM.
package datetime

import "github.com/culvert-project/culvert/plugins/odata/scan"

// DateTime is a point in time as a service wrote it: the local time and its offset from UTC.
type DateTime struct {
	Wall    int64 // local time in milliseconds since 1970, as if it were UTC
	Ticks   int64 // after Wall, in 100 ns
	Zoned   bool  // the text has an offset
	Offset  int64 // in minutes east of UTC
	Rounded bool  // the text had digits after the ticks, or was just outside of the years 1 to 9999
}

// Units of time, and the years 1 to 9999.
const (
	TicksPerMilli = 10_000
	MsPerDay      = 86_400_000
	FirstMs       = -62_135_596_800_000 // 0001-01-01T00:00:00
	LastMs        = 253_402_300_799_999 // 9999-12-31T23:59:59.999
	msPerMinute   = 60_000
	julianMs      = FirstMs - 2*MsPerDay // 0001-01-01 of the Julian calendar, which Java and ABAP use before 1582
)

// UTC returns the milliseconds since 1970.
func (d *DateTime) UTC() int64 { return d.Wall - d.Offset*msPerMinute }

// Days returns the days since 1970 of the local date.
func (d *DateTime) Days() int64 {
	days := d.Wall / MsPerDay
	if d.Wall%MsPerDay < 0 {
		days--
	}
	return days
}

// Parse reads `/Date(ms)/`, `/Date(ms±minutes)/` or ISO 8601 for the years 0001 to 9999. Digits after ticks are
// dropped. Milliseconds before an offset are local time, as in Olingo, the SAP Cloud SDK for Java and UI5 (in the SDK
// for JavaScript they are UTC). SAP writes +0000, for which both agree.
//
// Assumption: the two days before 0001-01-01 are the first two of the Julian calendar, because SAP S/4HANA writes the
// initial date of ABAP, 0001-01-01, as /Date(-62135769600000)/ in rows and as datetime'0001-01-01T00:00:00' in their
// addresses. 10000-01-01, /Date(253402300800000)/, is the end of time rounded up: 9999-12-31T23:59:59.999.
func (d *DateTime) Parse(text []byte) bool {
	*d = DateTime{}
	ok := false
	if len(text) > 0 && text[0] == '/' {
		ok = d.parseTicks(text)
	} else {
		ok = d.parseISO(text)
	}
	return ok && FirstMs <= d.Wall && d.Wall <= LastMs
}

// parseTicks reads /Date(ms)/ or /Date(ms±minutes)/.
func (d *DateTime) parseTicks(text []byte) bool {
	const front, back = "/Date(", ")/"
	if len(text) < len(front)+len(back)+1 || string(text[:len(front)]) != front ||
		string(text[len(text)-len(back):]) != back {
		return false
	}
	number := text[len(front) : len(text)-len(back)]
	// A sign after the first byte starts the offset.
	for i := 1; i < len(number); i++ {
		if number[i] == '+' || number[i] == '-' {
			if len(number)-i > len("+0000") {
				return false
			}
			offset, ok := scan.Integer(number[i:], -9999, 9999)
			if !ok {
				return false
			}
			d.Offset = offset
			d.Zoned = true
			number = number[:i]
		}
	}
	var ok bool
	d.Wall, ok = scan.Integer(number, julianMs, LastMs+1)
	d.Rounded = d.Wall < FirstMs || d.Wall > LastMs
	switch {
	case d.Wall < FirstMs:
		d.Wall += FirstMs - julianMs
	case d.Wall > LastMs:
		d.Wall = LastMs
	}
	return ok && number[0] != '+'
}

// parseISO reads yyyy-mm-dd, then optionally Thh:mm, :ss, a fraction, and a zone.
func (d *DateTime) parseISO(text []byte) bool {
	year, okYear := digits(text, 0, 4)
	month, okMonth := digits(text, 5, 2)
	day, okDay := digits(text, 8, 2)
	if !okYear || !okMonth || !okDay || text[4] != '-' || text[7] != '-' || year < 1 || month < 1 || month > 12 ||
		day < 1 || day > daysIn(year, month) {
		return false
	}
	d.Wall = daysSince1970(year, month, day) * MsPerDay
	if len(text) == 10 {
		return true
	}
	hour, okHour := digits(text, 11, 2)
	minute, okMinute := digits(text, 14, 2)
	if !okHour || !okMinute || text[10] != 'T' || text[13] != ':' || hour > 23 || minute > 59 {
		return false
	}
	d.Wall += (hour*60 + minute) * msPerMinute
	remaining := text[16:]
	if len(remaining) > 0 && remaining[0] == ':' {
		second, ok := digits(remaining, 1, 2)
		if !ok || second > 59 {
			return false
		}
		ticks, rounded, afterFraction, ok := fraction(remaining[3:])
		if !ok {
			return false
		}
		d.Wall += second*1000 + ticks/TicksPerMilli
		d.Ticks = ticks % TicksPerMilli
		d.Rounded = rounded
		remaining = afterFraction
	}
	return d.parseZone(remaining)
}

// parseZone reads nothing, Z, or an offset as +hh, +hhmm or +hh:mm.
func (d *DateTime) parseZone(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	d.Zoned = true
	if len(text) == 1 {
		return text[0] == 'Z' || text[0] == 'z'
	}
	if text[0] != '+' && text[0] != '-' {
		return false
	}
	hours, ok := digits(text, 1, 2)
	minutes := int64(0)
	okMinutes := true
	switch len(text) {
	case 3: // no minutes
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
	d.Offset = hours*60 + minutes
	if text[0] == '-' {
		d.Offset = -d.Offset
	}
	return true
}

// fraction reads a point and the digits of a second, if present. rounded reports that digits after the ticks are not 0.
// remaining is the text after the digits.
func fraction(text []byte) (ticks int64, rounded bool, remaining []byte, ok bool) {
	if len(text) == 0 || (text[0] != '.' && text[0] != ',') {
		return 0, false, text, true
	}
	i := 1
	for unit := int64(1_000_000); i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ { // a tenth of a second first
		ticks += int64(text[i]-'0') * unit
		rounded = rounded || (unit == 0 && text[i] != '0')
		unit /= 10
	}
	return ticks, rounded, text[i:], i > 1
}

func digits(text []byte, i, n int) (number int64, ok bool) {
	if i+n > len(text) {
		return 0, false
	}
	for _, c := range text[i : i+n] {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + int64(c-'0')
	}
	return number, true
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

// daysSince1970 uses the Gregorian calendar, also before 1582. Years start in March, so the leap day is the last one.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	const daysTo1970 = 719_468                 // from March 1 of the year 0
	daysBeforeMonth := (153*(month-3) + 2) / 5 // five months from March, or from August, have 153 days
	return 365*year + year/4 - year/100 + year/400 + daysBeforeMonth + day - 1 - daysTo1970
}

// TimeOfDay reads a duration that is a time of day, PT12H34M56.789S. Years, months and days, as in P0DT12H, must be 0.
// A sign, and 24 hours or more, are no time of day: Connect's Time cannot hold SAP's 24:00:00 (PT24H00M00S). rounded
// reports that digits after the ticks were dropped that are not 0.
func TimeOfDay(text []byte) (ticks int64, rounded, ok bool) {
	i := timeStart(text)
	if i == 0 || len(text) < i+2 {
		return 0, false, false
	}
	units := "HMS"
	for i < len(text) {
		start := i
		for i < len(text) && '0' <= text[i] && text[i] <= '9' {
			i++
		}
		n, ok := scan.Integer(text[start:i], 0, MsPerDay)
		if !ok || i == len(text) {
			return 0, false, false
		}
		part, isRounded, remaining, ok := fraction(text[i:])
		if !ok || len(remaining) == 0 {
			return 0, false, false
		}
		fractional := len(remaining) != len(text)-i
		i = len(text) - len(remaining)
		for len(units) > 0 && units[0] != text[i] {
			units = units[1:]
		}
		if len(units) == 0 || (fractional && units[0] != 'S') {
			return 0, false, false
		}
		switch units[0] {
		case 'H':
			n *= 60 * msPerMinute
		case 'M':
			n *= msPerMinute
		case 'S':
			n *= 1000
		}
		ticks += n*TicksPerMilli + part
		rounded = rounded || isRounded
		units = units[1:]
		i = i + 1
	}
	return ticks, rounded, ticks < MsPerDay*TicksPerMilli
}

// timeStart returns where the time of a duration starts, 0 without a time, or if years, months or days are not 0.
func timeStart(text []byte) int {
	if len(text) < 2 || text[0] != 'P' {
		return 0
	}
	units := "YMD"
	for i := 1; i < len(text); i++ {
		start := i
		for i < len(text) && text[i] == '0' {
			i++
		}
		if i == len(text) {
			return 0
		}
		if i == start && text[i] == 'T' {
			return i + 1
		}
		for len(units) > 0 && units[0] != text[i] {
			units = units[1:]
		}
		if i == start || len(units) == 0 {
			return 0
		}
		units = units[1:]
	}
	return 0
}
