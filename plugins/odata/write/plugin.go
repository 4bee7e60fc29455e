package write

import (
	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a sink and its tools. What it holds are caches, and memory that calls use again.
type Plugin struct {
	version  string
	contexts []cached
	last     lastContext
	schemas  map[uint32][]wit.Node
	// bodies is memory for bodies of requests, a piece of which is used once; longest is how long the longest one was.
	bodies  []byte
	longest int
	// requests is memory for those of one call.
	requests []request
	// keysOfRow, uriKeys and predicate are memory for the keys of one row.
	keysOfRow []keyValue
	uriKeys   []uri.Key
	predicate []byte
	// object and places are memory for the row at work.
	object encode.Object
	places []encode.Place
	// run, slots, operations, keyTexts and content are memory for the runs of one call.
	run        []runRow
	slots      []uint32
	operations []batch.Item
	keyTexts   []byte
	content    []byte
	// prefix and creation are those of the identity that was made last.
	prefix   hashedPrefix
	creation second
	// contents is how much of it one call took, about.
	contents int
	// writtenRows are verdicts that are all the same, as many as a batch had at most. Nobody writes to them.
	writtenRows []wit.Verdict
}

// New makes the plugin, which says this version of itself.
func New(version string) *Plugin { return &Plugin{version: version, schemas: map[uint32][]wit.Node{}} }

func (p *Plugin) Describe() wit.Description {
	return wit.Description{Name: "odata-sink", Version: p.version,
		Documentation: "Writes to entity sets of OData v2 services.",
		Components: []wit.Component{{Name: Component, Kind: wit.ComponentSink, Aliases: []string{Alias},
			Documentation: "Writes records to entity sets of SAP and other OData v2 services.",
			Settings:      settings.Specs(), Prefixes: config.Prefixes}}}
}

func (p *Plugin) Validate(component string, given []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.Inquiry, error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.Inquiry{}, err
	}
	if online {
		return validateOnline(given, answers)
	}
	examined := examine(given)
	return wit.Inquiry{Done: &examined}, nil
}
