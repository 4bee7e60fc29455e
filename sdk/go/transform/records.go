package transform

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// RecordPlugin is a simpler form of a transform: a function that is called for each record and reads the fields that it
// needs. It takes one or two microseconds for each record, several times as long as a [Plugin].
type RecordPlugin interface {
	sdk.Plugin
	// New returns the function of a component of kind transformation with these settings.
	New(component string, settings []wit.Setting) (Func, error)
}

// PredicatePlugin is implemented by a [RecordPlugin] that has components of kind predicate.
type PredicatePlugin interface {
	// NewPredicate returns the function of a component of kind predicate with these settings.
	NewPredicate(component string, settings []wit.Setting) (Predicate, error)
}

// Func changes a record. An error fails the record, and the setting errors.tolerance decides how the task continues.
type Func func(*Record) error

// Predicate reports whether a record matches. It must not change the record.
type Predicate func(*Record) (bool, error)

// RegisterRecords makes p the transform of the module. Call it from an init function.
func RegisterRecords(p RecordPlugin) { Register(Records(p)) }

// Records returns a [Plugin] that runs a [RecordPlugin].
func Records(p RecordPlugin) Plugin {
	r := &records{RecordPlugin: p, schemas: map[uint32][]wit.SchemaNode{}, chains: map[string][]stage{}}
	r.shared.extensions = map[extensionKey]*extendedSchema{}
	r.current.Key.shared = &r.shared
	r.current.Value.shared = &r.shared
	r.current.schemas = r.schemas
	return r
}

// records is the state of an instance. All of it is a cache: schemas by number, chains by context.
type records struct {
	RecordPlugin
	schemas  map[uint32][]wit.SchemaNode
	declared declarations
	chains   map[string][]stage
	data     []byte
	rows     []wit.Row
	// current is the record that the chain processes. It is reused for each row.
	current Record
	// recentSchemas caches the schemas that were used last, see nodes.
	recentSchemas [2]wit.Schema
	shared        shared
}

type stage struct {
	apply     Func
	condition Predicate
	negate    bool
	test      Predicate // set if the stage itself is a predicate
}

// Prepare checks that all stages can be created and encodes the chain as the context.
func (re *records) Prepare(chain []wit.Stage) ([]byte, error) {
	context := pack.Stages(nil, chain)
	_, err := re.chain(context)
	return context, err
}

func (re *records) chain(context []byte) ([]stage, error) {
	if c, ok := re.chains[string(context)]; ok {
		return c, nil
	}
	r := pack.NewReader(context)
	list := r.Stages()
	if !r.Done() {
		return nil, errors.New("context: expected bytes that this version of the plugin has written")
	}
	stages := make([]stage, len(list))
	for i := range list {
		var err error
		if stages[i], err = re.stage(&list[i]); err != nil {
			return nil, err
		}
	}
	re.chains[string(context)] = stages
	return stages, nil
}

func (re *records) stage(stage *wit.Stage) (s stage, err error) {
	if re.isPredicate(stage.Component) {
		s.test, err = re.predicate(stage.Component, stage.Settings)
		return s, err
	}
	if s.apply, err = re.New(stage.Component, stage.Settings); err != nil || stage.Condition == nil {
		return s, err
	}
	s.negate = stage.Condition.Negate
	s.condition, err = re.predicate(stage.Condition.Component, stage.Condition.Settings)
	return s, err
}

func (re *records) isPredicate(name string) bool {
	for _, c := range re.Describe().Components {
		if c.Name == name {
			return c.Kind == wit.ComponentPredicate
		}
	}
	return false
}

func (re *records) predicate(name string, settings []wit.Setting) (Predicate, error) {
	plugin, ok := re.RecordPlugin.(PredicatePlugin)
	if !ok {
		return nil, sdk.NewError(wit.ErrorConfig, "expected a predicate, found the class "+name)
	}
	return plugin.NewPredicate(name, settings)
}

func (re *records) addSchemas(schemas []wit.Schema) {
	if len(schemas) == 0 {
		return
	}
	re.recentSchemas = [2]wit.Schema{}
	clear(re.shared.extensions) // their keys have numbers of the host's schemas, which may have changed
	for _, s := range schemas {
		re.schemas[s.ID] = s.Nodes
	}
}

func (re *records) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult, error) {
	re.addSchemas(schemas)
	chain, err := re.chain(context)
	if err != nil {
		return wit.ApplyResult{}, err
	}
	re.rows = re.rows[:0]
	re.data = re.data[:0]
	re.current.headers.data = data
	out := wit.ApplyResult{Consumed: uint32(len(rows))}
	for i := range rows {
		rowCount := len(re.rows)
		c := call{records: re, out: &out, rowIndex: uint32(i), row: &rows[i], topics: topics, chain: chain}
		if stageIndex, err := c.runStages(re.loadRecord(&rows[i], topics, data), 0); err != nil {
			re.rows = re.rows[:rowCount]
			re.current.emittedRecords = nil
			out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i), Stage: uint32(stageIndex),
				ErrorClass: "org.apache.kafka.connect.errors.DataException", Error: wit.Error{Kind: wit.ErrorData,
					Message: err.Error()}})
		}
	}
	out.Rows = re.rows
	out.Data = re.data
	return out, nil
}

// call is the processing of one row.
type call struct {
	*records
	out      *wit.ApplyResult
	rowIndex uint32
	row      *wit.Row
	topics   []string
	chain    []stage
}

// runStages runs stages for a record and those it emits, and appends the results. stageIndex is the one that failed.
func (c *call) runStages(r *Record, from int) (stageIndex int, err error) {
	for stageIndex = from; stageIndex < len(c.chain); stageIndex++ {
		if err := c.chain[stageIndex].run(r); err != nil {
			return stageIndex, err
		}
		if len(r.emittedRecords) > 0 {
			if failedStage, err := c.runEmitted(r, stageIndex+1); err != nil {
				return failedStage, err
			}
		}
		if r.isDropped {
			return stageIndex, nil
		}
	}
	c.rows = append(c.rows, *c.row)
	// An error of write belongs to the last stage.
	return max(0, len(c.chain)-1), c.write(c.out, c.rowIndex, &c.rows[len(c.rows)-1], c.topics, r)
}

// runEmitted runs the stages from an index on for the records that r has emitted.
func (c *call) runEmitted(r *Record, from int) (stageIndex int, err error) {
	emittedRecords := r.emittedRecords
	r.emittedRecords = nil
	for _, record := range emittedRecords {
		if stageIndex, err := c.runStages(record, from); err != nil {
			return stageIndex, err
		}
	}
	return 0, nil
}

// run applies the stage to a record if its condition holds.
func (s *stage) run(r *Record) error {
	if s.condition != nil {
		if match, err := s.condition(r); err != nil || match == s.negate {
			return err
		}
	}
	if err := s.apply(r); err != nil {
		return err
	}
	switch {
	case r.Key.err != nil:
		return errorIn("key", r.Key.err)
	case r.Value.err != nil:
		return errorIn("value", r.Value.err)
	case r.headers.err != nil:
		return errorIn("headers", r.headers.err)
	}
	return nil
}

// loadRecord loads a row into the current record, which it returns.
func (re *records) loadRecord(row *wit.Row, topics []string, data []byte) *Record {
	r := &re.current
	r.Topic = topics[row.Topic]
	r.Partition = row.Partition
	r.Offset = row.Offset
	r.Timestamp = row.Timestamp
	r.isDropped = false
	r.headers.load(row.Headers)
	if row.Key.Encoding != wit.Absent || r.Key.encoding != wit.Absent || r.Key.isChanged { // else it is absent again
		r.Key.load(row.Key, re.nodes(row.Key), data)
	}
	r.Value.load(row.Value, re.nodes(row.Value), data)
	return r
}

// nodes returns the schema of a value, or nil. It caches two schemas, since most rows have those of the previous row.
func (re *records) nodes(d wit.ValueSlice) []wit.SchemaNode {
	if d.Encoding != wit.WithSchema {
		return nil
	}
	for i := range re.recentSchemas {
		if re.recentSchemas[i].ID == d.Schema && re.recentSchemas[i].Nodes != nil {
			return re.recentSchemas[i].Nodes
		}
	}
	re.recentSchemas[1] = re.recentSchemas[0]
	re.recentSchemas[0] = wit.Schema{ID: d.Schema, Nodes: re.schemas[d.Schema]}
	return re.recentSchemas[0].Nodes
}

func (re *records) write(out *wit.ApplyResult, rowIndex uint32, row *wit.Row, topics []string, r *Record) error {
	row.RowIndex = rowIndex
	row.Partition = r.Partition
	row.Timestamp = r.Timestamp
	row.Headers = wit.ValueSlice{Encoding: wit.Unchanged}
	if r.headers.isChanged {
		if err := re.putHeaders(out, &row.Headers, r.headers.decoded); err != nil {
			return errorIn("headers", err)
		}
	}
	if r.Topic != topics[row.Topic] {
		if out.Topics == nil {
			out.Topics = slices.Clone(topics)
		}
		index := slices.Index(out.Topics, r.Topic)
		if index < 0 {
			index = len(out.Topics)
			out.Topics = append(out.Topics, r.Topic)
		}
		row.Topic = uint32(index)
	}
	row.Key = unchangedSlice(&r.Key)
	row.Value = unchangedSlice(&r.Value)
	if r.Key.isChanged {
		if err := re.put(out, &row.Key, &r.Key); err != nil {
			return errorIn("key", err)
		}
	}
	if r.Value.isChanged {
		if err := re.put(out, &row.Value, &r.Value); err != nil {
			return errorIn("value", err)
		}
	}
	return nil
}

// unchangedSlice returns the slice of a value that is passed on unchanged.
func unchangedSlice(d *Data) wit.ValueSlice {
	return wit.ValueSlice{Encoding: wit.Unchanged, Schema: d.schema}
}

// put appends a changed value to the data.
func (re *records) put(out *wit.ApplyResult, slice *wit.ValueSlice, d *Data) (err error) {
	if d.encoding == wit.WithSchema && d.schema == 0 {
		if ext := d.extended(); ext != nil && ext.id != 0 {
			d.schema = ext.id
		} else if d.schema, err = re.declare(out, d.nodes); err != nil {
			return err
		} else if ext != nil {
			ext.id = d.schema
		}
	}
	start := uint32(len(re.data))
	re.data, err = d.append(re.data)
	*slice = wit.ValueSlice{Encoding: d.encoding, Schema: d.schema, Start: start, Size: uint32(len(re.data)) - start}
	return err
}

func (re *records) putHeaders(out *wit.ApplyResult, slice *wit.ValueSlice, headers []header) (err error) {
	list := make([]connectdata.Header, len(headers))
	for i := range headers {
		if list[i] = headers[i].Header; headers[i].nodes != nil {
			if list[i].Schema, err = re.declare(out, headers[i].nodes); err != nil {
				return err
			}
		}
	}
	start := uint32(len(re.data))
	re.data = connectdata.AppendHeaders(re.data, list)
	*slice = wit.ValueSlice{Encoding: wit.Raw, Start: start, Size: uint32(len(re.data)) - start}
	return nil
}

// declare returns the number of a new schema and adds it to out once. It rejects schemas that the host would reject.
func (re *records) declare(out *wit.ApplyResult, nodes []wit.SchemaNode) (uint32, error) {
	id, isNew, err := re.declared.declare(nodes)
	if isNew {
		re.schemas[id] = nodes
		out.Schemas = append(out.Schemas, wit.Schema{ID: id, Nodes: nodes})
	}
	return id, err
}

// Test runs the predicate that is the only stage of the context.
func (re *records) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult, error) {
	re.addSchemas(schemas)
	chain, err := re.chain(context)
	if err != nil {
		return wit.TestResult{}, err
	}
	if len(chain) != 1 || chain[0].test == nil {
		return wit.TestResult{}, sdk.NewError(wit.ErrorConfig, "test: expected a context of one predicate")
	}
	re.current.headers.data = data
	out := wit.TestResult{Matches: make([]bool, len(rows))}
	for i := range rows {
		out.Matches[i], err = chain[0].test(re.loadRecord(&rows[i], topics, data))
		if err != nil {
			out.Errors = append(out.Errors, wit.RowError{RowIndex: uint32(i),
				ErrorClass: "org.apache.kafka.connect.errors.DataException", Error: wit.Error{Kind: wit.ErrorData,
					Message: err.Error()}})
		}
	}
	return out, nil
}
