package odatatest

import (
	"bytes"
	"math"
)

// Sets for the corners of the format: every type with its limits, keys that need escaping, feed mapping, media entries.

var edgeTexts = bytesOf("plain", "", " ", "trailing blank ", "  leading blanks", "000042", "O'Neil", `say "hi"`,
	`back\slash`, "a<b>&c;", "]]>", "<!-- no comment -->", "&amp; twice", "line\nfeed",
	"carriage\r\nreturn", "tab\there", "Ünïcödé", "日本語テキスト", "😀🏳️‍🌈", "\u00a0nbsp", "\u2028separator",
	"\u0085next line", "null", "true", "/Date(0)/", "100%", "a+b c", "x\u007fdel", "{}[]:,", "İstanbul ıI")

var edgeWhole = map[kind][]int64{
	booleanKind: {0, 1},
	byteKind:    {0, 1, 127, 128, 255},
	sbyteKind:   {0, 1, -1, 127, -128},
	int16Kind:   {0, 1, -1, math.MaxInt16, math.MinInt16},
	int32Kind:   {0, 1, -1, math.MaxInt32, math.MinInt32, 1 << 20},
	int64Kind:   {0, 1, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, -(1<<53 + 1)},
	timeKind: {0, 1 * ticksPerSecond, 12*3600*ticksPerSecond + 34*60*ticksPerSecond + 56*ticksPerSecond,
		86399 * ticksPerSecond, ticksPerSecond / 2, 86399*ticksPerSecond + 9990000},
}

// Dates have at most milliseconds: verbose JSON has no more, and both formats must show the same rows.
var edgeMoments = []string{"1970-01-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59",
	"1969-12-31T23:59:59.999", "1582-10-04T00:00:00", "1582-10-15T00:00:00", "2000-02-29T12:00:00",
	"2024-02-29T23:59:59.001", "1900-03-01T00:00:00", "1883-11-18T12:03:58", "2038-01-19T03:14:08",
	"9999-12-31T00:00:00"}

var edgeAmounts = bytesOf("0.0000", "1.0000", "-1.0000", "0.0001", "-0.0001", "999999999999999.9999",
	"-999999999999999.9999", "12345.6700", "100.0000", "900719925474099.3001")

var edgeExact = bytesOf("0", "1", "-1", "9999999999999999999999999999999", "-9999999999999999999999999999999",
	"1701411834604692317316873037158")

var edgeSingles = []float64{0, 1, -1, 0.5, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
	float64(float32(0.1)), float64(float32(16777217))}

var edgeDoubles = []float64{0, 1, -1, 0.1, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1.0 / 3,
	1e21, 123456789.125, 1e-7}

var edgeGuids = bytesOf("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
	"34c6020a-aaaa-1111-2222-af75a376b0f9", "0a0b0c0d-0102-0304-0506-0708090a0b0c")

var edgeBinaries = [][]byte{{}, {0}, {0xff}, {0xfb, 0xff, 0xfe}, {1, 2, 3, 4}, bytes.Repeat([]byte{0xa5, 0, 0x5a}, 40),
	[]byte("plain text"), {0x3e, 0x3f, 0xbf}}

// addAllTypes adds a set with a column of each type, whose values reach the limits of the type.
func (no *northwind) addAllTypes() {
	address := &complexType{name: "Address", properties: []property{
		text("Street", 60),
		text("City", 40),
		text("PostalCode", 10),
		column("Since", dateTimeKind),
		column("Latitude", doubleKind),
		decimal("Rent", 11, 2),
	}}
	no.complexTypes = append(no.complexTypes, address)
	columns := []property{
		key("ID", int32Kind),
		text("Text", 80),
		column("Flag", booleanKind),
		column("Tiny", byteKind),
		column("Small", sbyteKind),
		column("Short", int16Kind),
		column("Whole", int32Kind),
		column("Long", int64Kind),
		decimal("Amount", 19, 4),
		decimal("Exact", 31, 0),
		column("Ratio", singleKind),
		column("Precise", doubleKind),
		column("Mark", guidKind),
		column("Clock", timeKind),
		column("Moment", dateTimeKind),
		column("Stamp", dateTimeOffsetKind),
		{name: "Raw", kind: binaryKind, nullable: true, maxLength: 200},
		{name: "Day", kind: dateTimeKind, nullable: true, day: true, sap: ` sap:display-format="Date"`},
		{name: "Place", kind: complexKind, nullable: true, complex: address},
	}
	typ := &entityType{name: "AllType", keys: 1, properties: columns}
	var moments []int64
	for _, s := range edgeMoments {
		v, err := parsePlain(dateTimeKind, s)
		if err != nil {
			panic(err)
		}
		moments = append(moments, v.num)
	}
	no.add("AllTypes", typ, allTypesRows, func(n int, r *row) {
		r.setNumber(0, int64(n)+1)
		for i := 1; i < len(columns); i++ {
			// Every column repeats its values with a period of its own, and has its own null rows.
			if (n+i*5)%19 == 18 {
				r.setNull(i)
				continue
			}
			fillEdge(r, i, columns[i].kind, n+i, moments)
		}
		if day := &r.values[len(columns)-2]; !day.null { // the column Day has whole days
			days, _ := floorDiv(day.num, ticksPerDay)
			day.num = days * ticksPerDay
		}
	})
}

func fillEdge(r *row, i int, k kind, n int, moments []int64) {
	switch k {
	case stringKind:
		r.setText(i, edgeTexts[n%len(edgeTexts)])
	case decimalKind:
		if i%2 == 0 {
			r.setText(i, edgeAmounts[n%len(edgeAmounts)])
		} else {
			r.setText(i, edgeExact[n%len(edgeExact)])
		}
	case singleKind:
		r.setNumber(i, int64(math.Float64bits(edgeSingles[n%len(edgeSingles)])))
	case doubleKind:
		r.setNumber(i, int64(math.Float64bits(edgeDoubles[n%len(edgeDoubles)])))
	case guidKind:
		r.setText(i, edgeGuids[n%len(edgeGuids)])
	case binaryKind:
		r.setText(i, edgeBinaries[n%len(edgeBinaries)])
	case dateTimeKind:
		r.setNumber(i, moments[n%len(moments)])
	case dateTimeOffsetKind:
		r.setNumber(i, moments[n%len(moments)])
		// The ends of the calendar cannot be shifted.
		r.values[i].zone = [4]int16{0, 330, -210, 60}[n%4]
		if m := n % len(moments); m == 1 || m == 2 || m == 11 {
			r.values[i].zone = 0
		}
	case complexKind:
		v := &r.values[i]
		v.null = false
		if v.fields == nil {
			v.fields = []value{{}, {}, {}, {kind: dateTimeKind}, {kind: doubleKind}, {kind: decimalKind}}
		}
		v.fields[0].text = edgeTexts[(n+3)%len(edgeTexts)]
		v.fields[1].text = cities[n%len(cities)]
		mark := len(r.buf)
		r.buf = appendDigits(r.buf, int64(n*613%100000), 5)
		v.fields[2].text = r.buf[mark:len(r.buf):len(r.buf)]
		v.fields[3].num = moments[n%len(moments)]
		v.fields[3].null = n%7 == 0
		v.fields[4].num = int64(math.Float64bits(48.137154 + float64(n)/8))
		mark = len(r.buf)
		r.buf = appendScaled(r.buf, int64(n)*12345-400000, 2)
		v.fields[5].text = r.buf[mark:len(r.buf):len(r.buf)]
		v.fields[5].null = n%11 == 0
	default:
		values := edgeWhole[k]
		r.setNumber(i, values[n%len(values)])
	}
}
