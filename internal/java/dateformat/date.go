package dateformat

// cutover is the first Gregorian day of java.util.GregorianCalendar, 1582-10-15, in days since 1970.
const cutover = -141427

// Numbers of days. Epochs are counted from March 1st of the year 0 of their calendar.
const (
	gregorianEpoch = 719468 // 1970-01-01
	julianEpoch    = 719470 // 1970-01-01
	gregorianCycle = 146097 // 400 years
	julianCycle    = 1461   // 4 years
)

// date is a day of java.util.GregorianCalendar, which is Julian before the cutover.
type date struct {
	days       int64 // since 1970-01-01
	year       int64 // astronomical: 0 is 1 BC
	month      int64 // 1 for January
	dayOfMonth int64
}

// dateOf returns the date of a day since 1970.
func dateOf(days int64) date {
	// Years are counted from March of the year 0, so that a leap day is the last day of its year.
	d := date{days: days}
	var dayOfYear uint32 // 32 bits are divided faster
	if days >= cutover {
		sinceYear0 := days + gregorianEpoch // days
		cycle := sinceYear0 / gregorianCycle
		inCycle := uint32(sinceYear0 - cycle*gregorianCycle) // days
		// Leap days are subtracted: one of 4 years, none of most 100th years, one of 400 years.
		years := (inCycle - inCycle/1460 + inCycle/36524 - inCycle/146096) / 365
		d.year = cycle*400 + int64(years)
		dayOfYear = inCycle - (365*years + years/4 - years/100)
	} else {
		sinceYear0 := days + julianEpoch // days
		cycle := FloorDiv(sinceYear0, julianCycle)
		inCycle := uint32(sinceYear0 - cycle*julianCycle) // days
		years := min(inCycle/365, 3)                      // the last day of a cycle is a leap day
		d.year = cycle*4 + int64(years)
		dayOfYear = inCycle - 365*years
	}
	monthsSinceMarch := (5*dayOfYear + 2) / 153 // 5 months have 153 days, see marchDays
	d.dayOfMonth = int64(dayOfYear - (153*monthsSinceMarch+2)/5 + 1)
	d.month = int64((monthsSinceMarch+2)%12 + 1)
	if d.month <= 2 {
		d.year++
	}
	return d
}

// eras contains the short and the long names of the eras by Java's numbers.
var eras = [][]string{{"BC", "Before Christ"}, {"AD", "Anno Domini"}}

// era returns the number of the era: 0 before the year 1, otherwise 1.
func (d *date) era() int {
	if d.year <= 0 {
		return 0
	}
	return 1
}

// yearOfEra returns the year counted in its era.
func (d *date) yearOfEra() int64 {
	if d.year <= 0 {
		return 1 - d.year
	}
	return d.year
}

// weekday returns the day of the week, 0 for Sunday.
func (d *date) weekday() int64 { return FloorMod(d.days+4, 7) }

func (d *date) dayOfYear() int64 { return d.days - daysOf(d.year, 1, 1) + 1 }

// weekdayInMonth returns how often the weekday has occurred in the month. October 1582 lacks ten days.
func (d *date) weekdayInMonth() int64 { return (d.days-daysOf(d.year, d.month, 1))/7 + 1 }

// weekYear returns the year to which the week belongs. Unlike years, it is not counted in an era.
func (d *date) weekYear() int64 {
	if sunday(d.days)+6 >= daysOf(d.year+1, 1, 1) {
		return d.year + 1
	}
	return d.year
}

// week returns the number of the week in its week year.
func (d *date) week() int64 {
	if d.weekYear() != d.year {
		return 1
	}
	return (sunday(d.days)-sunday(daysOf(d.year, 1, 1)))/7 + 1
}

// weekOfMonth returns the number of the week in the month. The month's first day is in week 1.
func (d *date) weekOfMonth() int64 {
	return (sunday(d.days)-sunday(daysOf(d.year, d.month, 1)))/7 + 1
}

// sunday returns the first day of the week of a day.
func sunday(days int64) int64 { return days - FloorMod(days+4, 7) }

// daysOf returns the number of a day since 1970, in the Julian calendar before the cutover.
func daysOf(year, month, day int64) int64 {
	if gregorian := gregorianDays(year, month, day); gregorian >= cutover {
		return gregorian
	}
	return julianDays(year, month, day)
}

func gregorianDays(year, month, day int64) int64 {
	year, days := marchDays(year, month, day)
	return 365*year + FloorDiv(year, 4) - FloorDiv(year, 100) + FloorDiv(year, 400) + days - gregorianEpoch
}

func julianDays(year, month, day int64) int64 {
	year, days := marchDays(year, month, day)
	return 365*year + FloorDiv(year, 4) + days - julianEpoch
}

// marchDays returns the year that began in March and the days since then. Month 13 is January of the next year.
func marchDays(year, month, day int64) (marchYear, days int64) {
	if month <= 2 {
		year--
		month += 12
	}
	// From March on, months have 31, 30, 31, 30 and 31 days, again and again.
	return year, (153*(month-3)+2)/5 + day - 1
}
