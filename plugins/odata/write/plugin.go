package write

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a sink and its tools. What it holds are caches.
type Plugin struct {
	version string
	contexts
	schemas schemas
}

// New makes the plugin, which says this version of itself.
func New(version string) *Plugin {
	return &Plugin{version: version, schemas: schemas{}}
}

func (p *Plugin) Describe() wit.Description {
	return wit.Description{Name: "odata-sink", Version: p.version,
		Documentation: "Writes to entity sets of OData v2 services.",
		Components: []wit.Component{{Name: Component, Kind: wit.ComponentSink, Aliases: []string{Alias},
			Documentation: "Writes records to entity sets of SAP and other OData v2 services.",
			Settings:      settings.Keys(), Prefixes: config.Prefixes}}}
}

func (p *Plugin) Validate(component string, given []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.ValidateResult{}, err
	}
	if online {
		return validateOnline(given, state, answers)
	}
	examined := examine(given)
	return wit.ValidateResult{Done: &examined}, nil
}

func (p *Plugin) Open(component string, given []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpenResult,
	error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.SinkOpenResult{}, err
	}
	if f := setting.FirstError(examine(given)); f != nil {
		return wit.SinkOpenResult{}, f
	}
	v := settings.Values(given)
	all := configuredSets(v)
	services := servicesOf(all)
	if need, err := service.NeedMetadata(services, config.Query(v), answers); need != nil || err != nil {
		return wit.SinkOpenResult{Pending: need}, err
	}
	models, sap := make([]*edm.Model, len(services)), make([]bool, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		models[i], sap[i] = m, bytes.Contains(answers[i].Body, []byte(spaceSAP))
	}
	out := &wit.SinkOpened{}
	o := &decodedContext{manner: mannerOf(v), given: given, services: services}
	var misnamed []*wit.Error // of sets that the filter of the check doesn't fit; it may be meant for the others
	for _, e := range all {
		at := slices.Index(services, e.service)
		t, err := newEntitySet(e, models[at], &o.manner)
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		if name := outsideContent(t.model.Structures[0]); name != "" && o.atom {
			return wit.SinkOpenResult{}, fault.Config(requestFormat, "Entity set "+t.set+" of "+t.service+": "+
				notInAtom(name))
		}
		if f := o.uncheckable(t); f != nil {
			return wit.SinkOpenResult{}, f
		}
		if f := o.misnamed(t); f != nil {
			misnamed = append(misnamed, f)
		}
		t.sayLeftOut(o.mode)
		t.sap, t.at = sap[at], at
		o.sets = append(o.sets, *t)
		out.Topics = append(out.Topics, e.topic)
	}
	if len(misnamed) == len(all) {
		return wit.SinkOpenResult{}, misnamed[0]
	}
	s := &state{decodedContext: o, learned: make([]learned, len(services)), evidence: make([]evidence, len(o.sets)),
		packed: string(o.pack())}
	for i := range answers {
		s.learnVersion(i, &answers[i])
	}
	out.Context = s.pack()
	return wit.SinkOpenResult{Ready: out}, nil
}

// Encode makes requests of rows, as the settings and, with dynamic, the rows say; several in a batch.
func (p *Plugin) Encode(context []byte, declared []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string,
	hints []wit.Hint) (wit.EncodeResult, error) {
	p.schemas.learn(declared)
	s, err := p.state(context)
	if err != nil {
		return wit.EncodeResult{}, err
	}
	hinted := make(map[uint32]string, len(hints))
	for _, h := range hints {
		hinted[h.Row] = h.Text
	}
	targets := make([]*entitySet, len(topics))
	for i, topic := range topics {
		targets[i] = s.setOf(topic)
	}
	var out wit.EncodeResult
	var e encoding
	plan := newGrouping(s, len(rows))
	for i := range rows {
		e = encoding{schemas: p.schemas, usual: e.usual, requests: e.requests, s: s, row: &rows[i], data: data}
		if len(hints) > 0 {
			e.hint = readHint(hinted[uint32(i)])
		}
		var topic string
		if int(rows[i].Topic) < len(topics) {
			topic, e.to = topics[rows[i].Topic], targets[rows[i].Topic]
		}
		e.came(i, origins, originTopics)
		q, err := e.request(topic)
		switch {
		case err != nil:
			out.Rejected = append(out.Rejected, wit.RowError{RowIndex: uint32(i), ErrorClass: errorClass,
				Error: *asFault(err)})
		case q == nil:
			out.Ignored = append(out.Ignored, uint32(i))
		case q.nested > 0 && s.learned[q.to.at].noBatch:
			out.Rejected = append(out.Rejected, wit.RowError{RowIndex: uint32(i), ErrorClass: errorClass,
				Error: wit.Error{Kind: wit.ErrorConfig, Message: q.to.service + " takes no batches, in which " +
					nestedUpdates + " = operations sends the entities nested in an update"}})
		default:
			q.row = uint32(i)
			plan.add(q)
		}
	}
	out.Ready = plan.deliveries()
	return out, nil
}

// HandleResponse says what became of a delivery's rows.
func (p *Plugin) HandleResponse(context []byte, memo []byte, rows []uint32, response wit.Response) (wit.ResponseResult,
	error) {
	s, err := p.state(context)
	if err != nil {
		return wit.ResponseResult{}, err
	}
	m, ok := readMemo(s, memo)
	if !ok || m.count != len(rows) {
		return wit.ResponseResult{}, staleMemo()
	}
	s.learnVersion(m.at, &response)
	verdicts, err := p.verdicts(m, &response)
	settled := wit.ResponseResult{Results: verdicts}
	if err == nil && !s.same(p.last.state) {
		settled.Context = wit.Ptr(s.pack())
	}
	return settled, err
}

func staleMemo() error {
	return &wit.Error{Kind: wit.ErrorStale, Message: "the memo is of another version of this plugin"}
}

// verdicts are those on the rows of a delivery: what its answer says of each row's request is judged by
// [state.settle].
func (p *Plugin) verdicts(m memo, response *wit.Response) ([]wit.RowResult, error) {
	rows, parts, ok := m.all()
	if !ok {
		return nil, staleMemo()
	}
	if m.size > 0 {
		b := sentBatch{at: m.at, size: m.size, rows: rows, parts: parts}
		return b.settle(m.s, response)
	}
	v, err := m.s.settle(&rows[0], response)
	if err != nil {
		return nil, err
	}
	return []wit.RowResult{v}, nil
}
