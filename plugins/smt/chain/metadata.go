package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var metadataSpecs = []wit.SettingSpec{
	{Name: "schema.name", Kind: wit.KindText, Importance: wit.High, Documentation: "Schema name to set."},
	{Name: "schema.version", Kind: wit.KindInt, Importance: wit.High, Documentation: "Schema version to set."},
	replaceNullSpec,
}

// metadata is SetSchemaMetadata: another name or version of the schema.
type metadata struct {
	onColumn[*metadataProgram]
	name        *string
	version     *int32
	replaceNull bool
}

// metadataProgram is what the transform comes to for one schema.
type metadataProgram struct {
	failure *failure
	root    *wit.Node
	out     uint32
	// rewrites, where not nil, puts defaults in the place of nulls.
	rewrites *program
}

const metadataPurpose = "updating schema metadata"

func newMetadata(at side, s settings) (operation, *wit.Fault) {
	o := &metadata{}
	o.onColumn = onColumn[*metadataProgram]{side: at, compile: o.rename, structured: o.put, dynamic: o.refuse}
	if text, given := s.find("schema.name"); given {
		o.name = wit.Ptr(setting.Trim(text))
	}
	if text, given := s.find("schema.version"); given {
		n, ok := setting.Integer(wit.KindInt, text)
		if !ok {
			return nil, invalid("schema.version", s.asGiven("schema.version"), "Not a number of type INT")
		}
		o.version = wit.Ptr(int32(n))
	}
	var err *wit.Fault
	o.replaceNull, err = s.boolean(replaceNullSpec.Name, true)
	if err == nil && o.name == nil && o.version == nil {
		err = fail("", "Neither schema name nor version configured")
	}
	return o, err
}

// rename makes the other schema.
func (o *metadata) rename(w *work, nodes []wit.Node, stage int) *metadataProgram {
	root := nodes[0]
	if o.name != nil {
		root.Name = o.name
	}
	if o.version != nil {
		root.Version = o.version
	}
	x := &metadataProgram{root: &root}
	p, l := beginProgram(nodes)
	if l == nil {
		x.failure = &failure{stage, dataException, "Cannot list fields on non-struct type"}
		return x
	}
	if o.replaceNull {
		if l.replaceNulls(); slices.ContainsFunc(l.fields, func(f field) bool { return f.orDefault }) {
			root.Members = nil
			l.root, l.stays = root, false
			p.finish(&w.schemas, l, 0, stage)
			x.rewrites, x.out, x.failure = p, p.made.schema, p.failure
			return x
		}
	}
	made := append([]wit.Node{root}, nodes[1:]...)
	x.out, x.failure = w.schemas.declareMade(made, stage)
	return x
}

// refuse does a column without schema.
func (o *metadata) refuse(_ *work, _ *column, stage int) *failure {
	return &failure{stage, dataException, "Schema required for [" + metadataPurpose + "]"}
}

// put gives a column the other schema.
func (o *metadata) put(w *work, c *column, x *metadataProgram, stage int) *failure {
	if x.failure != nil {
		return x.failure
	}
	if p := x.rewrites; p != nil {
		switch done, f := p.opened(w, c, stage); {
		case f != nil:
			return f
		case !done:
			return p.write(w, &w.view, c, stage)
		}
	}
	c.schema = x.out
	return nil
}
