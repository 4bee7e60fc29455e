package dateformat

import "slices"

// This file computes a time from parsed fields like java.util.GregorianCalendar in its lenient mode: of fields that
// contradict each other, those that were set last count, and values may be out of range.

// time returns the time of the fields. It may replace fields of a week by those of a date.
func (p *Parser) time() int64 {
	if p.set[weekYearField] > p.set[yearField] {
		// Week year, week and weekday become the date that they name, as in Calendar.setWeekDate.
		week := p.valueOr(weekField, 1)
		weekday := p.valueOr(weekdayField, 1)
		if weekday < 1 || weekday > 7 {
			if weekday >= 8 {
				weekday--
				week += weekday / 7
				weekday = weekday%7 + 1
			} else {
				weeksBack := (7 - weekday) / 7
				weekday += 7 * weeksBack
				week -= weeksBack
			}
			weekday = weekday%7 + 1
		}
		year := p.value[weekYearField]
		if d := dateOf(p.days()); d.era() == 0 { // the other fields determine the era
			year = 1 - year
		}
		d := dateOf(sunday(daysOf(year, 1, 1)) + int64(int32(weekday-1+7*(week-1))))
		p.put(eraField, int64(d.era()))
		p.put(yearField, d.yearOfEra())
		p.put(monthField, d.month-1)
		p.put(dayField, d.dayOfMonth)
	}
	return p.days()*day + FloorMod(p.timeOfDay(), day) - p.value[zoneField]
}

// timeOfDay returns the time of day in milliseconds, which may exceed a day. Of hours and half days with their hours,
// the field that was set last counts.
func (p *Parser) timeOfDay() int64 {
	hours := p.value[hourField]
	if p.lastSet(hour12Field, amPMField) > p.set[hourField] || p.set[hourField] == 0 {
		hours = p.value[hour12Field] + 12*p.value[amPMField]
	}
	return ((hours*60+p.value[minuteField])*60+p.value[secondField])*second + p.value[milliField]
}

// lastSet returns the position of the later of two fields in the order in which fields were set, or 0 if one is unset.
func (p *Parser) lastSet(a, b calendarField) int {
	if p.set[a] == 0 || p.set[b] == 0 {
		return 0
	}
	return max(p.set[a], p.set[b])
}

// valueOr returns the value of a field, or a default if it is unset.
func (p *Parser) valueOr(f calendarField, value int64) int64 {
	if p.set[f] > 0 {
		return p.value[f]
	}
	return value
}

// days returns the day of the fields since 1970. It includes the whole days of a time of day above 24 hours.
func (p *Parser) days() int64 {
	year := p.valueOr(yearField, 1970)
	if p.set[eraField] > 0 && p.value[eraField] == 0 {
		year = int64(int32(1 - year)) // Java's years have 32 bits
	}
	extraDays := FloorDiv(p.timeOfDay(), day)
	selected := p.selectFields()
	isWithinYear := selected == byDayOfYear || selected == byWeekOfYear // not within a month
	if year > 1582 || (year == 1582 && !isWithinYear) {
		if days := p.daysIn(gregorianDays, selected, year) + extraDays; days >= cutover {
			return days
		}
	}
	return p.daysIn(julianDays, selected, year) + extraDays
}

// selection names the fields that determine the day of a year.
type selection int

const (
	byDayOfMonth selection = iota
	byWeekOfMonth
	byWeekdayInMonth
	byDayOfYear
	byWeekOfYear
)

// selectFields returns the fields that were set last, like Calendar.selectFields.
func (p *Parser) selectFields() selection {
	stamps := [...]int{
		byDayOfMonth:     p.set[dayField],
		byWeekOfMonth:    p.lastSet(weekOfMonthField, weekdayField),
		byWeekdayInMonth: p.lastSet(weekdayInMonthField, weekdayField),
		byDayOfYear:      p.set[dayOfYearField],
		byWeekOfYear:     p.lastSet(weekField, weekdayField),
	}
	latest := slices.Max(stamps[:])
	if latest == 0 {
		// No selection is complete: one field is enough, and a weekday without a week is the month's first.
		stamps[byWeekOfMonth] = p.set[weekOfMonthField]
		stamps[byWeekdayInMonth] = max(p.set[weekdayInMonthField], p.set[weekdayField])
		stamps[byWeekOfYear] = p.set[weekField]
		latest = slices.Max(stamps[:])
	}
	weekOfMonth := p.set[weekOfMonthField]
	weekdayInMonth := p.set[weekdayInMonthField]
	isWeekOfMonth := latest == stamps[byWeekOfMonth] && weekOfMonth >= p.set[weekField]
	isWeekdayInMonth := latest == stamps[byWeekdayInMonth] && weekdayInMonth >= p.set[weekField]
	switch {
	case latest == stamps[byDayOfMonth]:
		return byDayOfMonth
	case !isWeekOfMonth && !isWeekdayInMonth:
		if latest == stamps[byDayOfYear] {
			return byDayOfYear
		}
		return byWeekOfYear
	case stamps[byWeekOfMonth] == stamps[byWeekdayInMonth]: // the weekday is the latest of both
		if weekOfMonth >= weekdayInMonth {
			return byWeekOfMonth
		}
		return byWeekdayInMonth
	case latest == stamps[byWeekOfMonth]:
		return byWeekOfMonth
	}
	return byWeekdayInMonth
}

// daysIn returns the day that the fields mean in the Julian or the Gregorian calendar. calendar converts a date of it
// to days since 1970.
func (p *Parser) daysIn(calendar func(year, month, day int64) int64, by selection, year int64) int64 {
	weekday := p.valueOr(weekdayField, 1)
	if by == byDayOfYear {
		return calendar(year, 1, 1) + p.value[dayOfYearField] - 1
	}
	if by == byWeekOfYear {
		return weekdayUntil(sunday(calendar(year, 1, 1))+6, weekday) + 7*(p.value[weekField]-1)
	}
	month := p.value[monthField]
	year = int64(int32(year + FloorDiv(month, 12)))
	month = FloorMod(month, 12) + 1
	first := calendar(year, month, 1)
	switch by {
	case byDayOfMonth:
		return first + p.valueOr(dayField, 1) - 1
	case byWeekOfMonth:
		return weekdayUntil(sunday(first)+6, weekday) + int64(int32(7*(p.value[weekOfMonthField]-1)))
	}
	n := p.valueOr(weekdayInMonthField, 1)
	if n >= 0 {
		return weekdayUntil(first+int64(int32(7*n))-1, weekday)
	}
	return weekdayUntil(calendar(year, month+1, 1)+int64(int32(7*(n+1)))-1, weekday)
}

// weekdayUntil returns the last day, at most days, that is a weekday, 1 for Sunday.
func weekdayUntil(days, weekday int64) int64 {
	return days - FloorMod(days+4-int64(int32(weekday-1)), 7)
}
