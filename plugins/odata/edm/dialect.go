package edm

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Dialect is what differs between the versions of OData where services are requested and responses are read, as data:
// other packages use the fields and do not compare versions. A connector's class chooses it.
type Dialect struct {
	Version string // as in messages: "v2"
	// MaxVersion is the header that limits the version of responses.
	MaxVersion wit.Header
	// JSON is the media type of rows in JSON, and FormatOption the query option that requests it in case a gateway
	// drops the header Accept. An empty option means that it would override parameters of the media type.
	JSON         string
	Root         string // a member of each document of rows in JSON
	Atom         bool   // rows can be requested in Atom, too
	FormatOption string
	CountOption  string // the query option that requests the number of rows
	CountName    string // the name of that option
	CountWord    string // what messages about that option contain, in lower case
	DeltaToken   string // the query option that contains the token of a delta link
	TrackChanges string // the preferences that request change tracking
	TrackingTerm string // the annotation of sets whose changes are tracked
	// ConfirmsTracking means that a service that announces change tracking confirms it in each response, so that a load
	// without the confirmation fails early.
	ConfirmsTracking bool
	// DeltaInNext means that some services put the delta token into the last next link.
	DeltaInNext bool
	// DeltaEnds means that changes end with a delta link, so that changes without one show that the service ignored the
	// token (OData 4.01, Protocol, 11.3).
	DeltaEnds bool
	// ExpandOptions means that $expand contains the options of the expanded entities, in parentheses.
	ExpandOptions bool
	// Micros means that rows in JSON contain points in time with more digits than milliseconds.
	Micros bool
	// Identity is the end of the fingerprint of a set's rows, which starts with a blank unless it is empty.
	Identity string
	Writes
	// Literals are the forms of values in URLs, by type. Types after the last one are not part of the version.
	Literals []LiteralForm
	without  []Primitive // types before the last one that are not part of the version
	// oasis means that $metadata are in the namespaces of OASIS, with the elements of CSDL 4.
	oasis bool
}

// LiteralForm is the form of a type's values in URLs. The zero form is the value alone.
type LiteralForm struct {
	Quoted bool
	Prefix string // before the opening quote, in the case that is written
	Suffix string // after numbers, except for NaN and the infinities; without quotes
	// Hex and Base64URL are encodings of bytes, which are quoted.
	Hex       bool
	Base64URL bool
}

// Form returns the form of a type's literals. A nil dialect means [V2].
func (d *Dialect) Form(p Primitive) LiteralForm {
	if d = d.orV2(); int(p) < len(d.Literals) {
		return d.Literals[p]
	}
	return LiteralForm{}
}

// Declares reports whether a type is part of the version. A nil dialect means [V2].
func (d *Dialect) Declares(p Primitive) bool {
	d = d.orV2()
	return int(p) < len(d.Literals) && !slices.Contains(d.without, p)
}

// Name returns the version as in messages. A nil dialect means [V2].
func (d *Dialect) Name() string { return d.orV2().Version }

func (d *Dialect) orV2() *Dialect {
	if d == nil {
		return V2
	}
	return d
}

// V2 and V4 are the dialects.
var (
	V2 = &Dialect{
		Version:          "v2",
		MaxVersion:       wit.Header{Name: "MaxDataServiceVersion", Value: "2.0"},
		JSON:             "application/json",
		Root:             "d",
		Atom:             true,
		FormatOption:     "$format=json",
		CountOption:      "$inlinecount=allpages",
		CountName:        "$inlinecount",
		CountWord:        "inlinecount",
		DeltaToken:       "!deltatoken",
		TrackChanges:     "odata.track-changes",
		TrackingTerm:     "sap:change-tracking",
		ConfirmsTracking: true,
		DeltaInNext:      true,
		Writes:           v2Writes,
		Literals: []LiteralForm{
			Binary:         {Quoted: true, Prefix: "X", Hex: true},
			Int64:          {Suffix: "L"},
			Decimal:        {Suffix: "M"},
			Double:         {Suffix: "D"},
			Single:         {Suffix: "F"},
			Guid:           {Quoted: true, Prefix: "guid"},
			String:         {Quoted: true},
			DateTime:       {Quoted: true, Prefix: "datetime"},
			DateTimeOffset: {Quoted: true, Prefix: "datetimeoffset"},
			Time:           {Quoted: true, Prefix: "time"},
		},
	}
	V4 = &Dialect{
		Version:       "v4",
		MaxVersion:    wit.Header{Name: "OData-MaxVersion", Value: "4.0"},
		JSON:          json4,
		Root:          "value",
		CountOption:   "$count=true",
		CountName:     "$count",
		CountWord:     "$count",
		DeltaToken:    "$deltatoken",
		TrackChanges:  "odata.track-changes,track-changes",
		TrackingTerm:  "Capabilities.ChangeTracking",
		DeltaEnds:     true,
		ExpandOptions: true,
		Micros:        true,
		Identity:      " dialect=v4",
		Writes:        v4Writes,
		Literals: []LiteralForm{
			Binary:   {Quoted: true, Prefix: "binary", Base64URL: true},
			String:   {Quoted: true},
			Duration: {Quoted: true, Prefix: "duration"},
			Enum:     {Quoted: true}, // the prefix is the name of the type
			Geo:      {},
		},
		without: []Primitive{DateTime, Time},
		oasis:   true,
	}
)
