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
	// requests is memory for those of one call.
	requests []request
	// Memory for one row, and for the runs of one call.
	body     *bodyMemory
	ofKey    *keyMemory
	identity *identityMemory
	runs     *runMemory
	// writtenRows are verdicts that are all the same, as many as a batch had at most. Nobody writes to them.
	writtenRows []wit.Verdict
}

// bodyMemory is memory for bodies of requests, a piece of which is used once; longest is how long the longest one was.
// object and places are of the row at work.
type bodyMemory struct {
	chunk   []byte
	longest int
	object  encode.Object
	places  []encode.Place
}

// keyMemory is memory for the keys of one row, and in texts for those of one call.
type keyMemory struct {
	ofRow            []keyValue
	uri              []uri.Key
	predicate, texts []byte
}

// identityMemory is of the identity that was made last.
type identityMemory struct {
	prefix   hashedPrefix
	creation second
}

// runMemory is memory for the runs of one call. wanted is how much of content the call before took, about.
type runMemory struct {
	rows    []runRow
	slots   []uint32
	items   []batch.Item
	content []byte
	wanted  int
}

// New makes the plugin, which says this version of itself.
func New(version string) *Plugin {
	return &Plugin{version: version, schemas: map[uint32][]wit.Node{}, body: &bodyMemory{}, ofKey: &keyMemory{},
		identity: &identityMemory{}, runs: &runMemory{}}
}

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
