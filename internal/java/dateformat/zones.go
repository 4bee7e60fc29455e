package dateformat

// zone is a time zone at one of the two times of the year. Java uses the time of the name at any date: EST is five
// hours behind UTC in July too.
type zone struct {
	names     []string
	minutes   int64 // ahead of UTC
	firstYear int64 // the year since which the zone has always had this offset
}

// zones contains the common names with the zones of JDK 17 under Locale.US, as recorded in parses.tsv: IST, which
// several zones share, is that of Israel. Other names fail, and so do times before a zone's first year.
var zones = []zone{
	{[]string{"EST", "Eastern Standard Time"}, -300, 1900},
	{[]string{"EDT", "Eastern Daylight Time"}, -240, 1900},
	{[]string{"CST", "Central Standard Time"}, -360, 1937},
	{[]string{"CDT", "Central Daylight Time"}, -300, 1937},
	{[]string{"MST", "Mountain Standard Time"}, -420, 1900},
	{[]string{"MDT", "Mountain Daylight Time"}, -360, 1900},
	{[]string{"PST", "Pacific Standard Time"}, -480, 1900},
	{[]string{"PDT", "Pacific Daylight Time"}, -420, 1900},
	{[]string{"AKST", "Alaska Standard Time"}, -540, 1984},
	{[]string{"AKDT", "Alaska Daylight Time"}, -480, 1984},
	{[]string{"HST"}, -600, 1948},
	{[]string{"AST", "Atlantic Standard Time"}, -240, 1903},
	{[]string{"ADT", "Atlantic Daylight Time"}, -180, 1903},
	{[]string{"WET", "Western European Standard Time"}, 0, 1997},
	{[]string{"WEST", "Western European Summer Time"}, 60, 1997},
	{[]string{"BST", "British Summer Time"}, 60, 1972},
	{[]string{"CET", "Central European Standard Time"}, 60, 1946},
	{[]string{"CEST", "Central European Summer Time"}, 120, 1946},
	{[]string{"MET"}, 60, 1941},
	{[]string{"MEST"}, 120, 1941},
	{[]string{"EET", "Eastern European Standard Time"}, 120, 1932},
	{[]string{"EEST", "Eastern European Summer Time"}, 180, 1932},
	{[]string{"MSK", "Moscow Standard Time"}, 180, 2012},
	{[]string{"IST", "Israel Standard Time"}, 120, 1919},
	{[]string{"IDT", "Israel Daylight Time"}, 180, 1919},
	{[]string{"India Standard Time"}, 330, 2007},
	{[]string{"SGT", "Singapore Standard Time"}, 480, 1983},
	{[]string{"HKT", "Hong Kong Standard Time"}, 480, 1946},
	{[]string{"China Standard Time"}, 480, 1950},
	{[]string{"JST", "Japan Standard Time"}, 540, 1952},
	{[]string{"KST", "Korean Standard Time"}, 540, 1989},
	{[]string{"AEST", "Australian Eastern Standard Time"}, 600, 1900},
	{[]string{"AEDT", "Australian Eastern Daylight Time"}, 660, 1900},
	{[]string{"NZST", "New Zealand Standard Time"}, 720, 1947},
	{[]string{"NZDT", "New Zealand Daylight Time"}, 780, 1947},
	{[]string{"SAST", "South Africa Standard Time"}, 120, 1945},
}
