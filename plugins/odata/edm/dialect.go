package edm

import "github.com/culvert-project/culvert/wit"

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
	FormatOption string
	CountOption  string // the query option that requests the number of rows
	CountName    string // the name of that option
	DeltaToken   string // the query option that contains the token of a delta link
	TrackChanges string // the preferences that request change tracking
	// DeltaInNext means that some services put the delta token into the last next link.
	DeltaInNext bool
	// ExpandOptions means that $expand contains the options of the expanded entities, in parentheses.
	ExpandOptions bool
	// Micros means that rows in JSON contain points in time with more digits than milliseconds.
	Micros bool
	// Identity is the end of the fingerprint of a set's rows, which starts with a blank unless it is empty.
	Identity string
}

// V2 and V4 are the dialects.
var (
	V2 = &Dialect{
		Version:      "v2",
		MaxVersion:   wit.Header{Name: "MaxDataServiceVersion", Value: "2.0"},
		JSON:         "application/json",
		Root:         "d",
		FormatOption: "$format=json",
		CountOption:  "$inlinecount=allpages",
		CountName:    "$inlinecount",
		DeltaToken:   "!deltatoken",
		TrackChanges: "odata.track-changes",
		DeltaInNext:  true,
	}
	V4 = &Dialect{
		Version:       "v4",
		MaxVersion:    wit.Header{Name: "OData-MaxVersion", Value: "4.0"},
		JSON:          "application/json;odata.metadata=minimal;IEEE754Compatible=true",
		Root:          "value",
		CountOption:   "$count=true",
		CountName:     "$count",
		DeltaToken:    "$deltatoken",
		TrackChanges:  "odata.track-changes,track-changes",
		ExpandOptions: true,
		Micros:        true,
		Identity:      " dialect=v4",
	}
)
