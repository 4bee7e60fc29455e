package inspect

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

const (
	CommandPeek = "peek"
	OptionRows  = "n"
	// MaxPeeked bounds the rows that are shown.
	MaxPeeked = 1000
)

// Peek shows the first rows of an entity set as they will be in records. Documents are asked for in rounds: metadata,
// the page, then pages inside of it; what came before is in the state.
func Peek(root, set string, rows int, given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	if len(answers) == 0 {
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{service.MetadataRequest(root,
			config.Query(entry.Table.Values(given)))}}}, nil
	}
	var bodies []string
	refused := false // $format, by the service
	if len(state) > 0 {
		r := pack.Open(state)
		bodies, refused = r.Texts(), r.Flag()
		if !r.Done() {
			return wit.Reply{}, &wit.Fault{Kind: wit.FaultInternal, Message: "peek: the state can't be read"}
		}
	}
	answer := &answers[0]
	again := len(bodies) == 1 && !refused && fault.RefusesFormat(answer, answer.Body)
	if len(bodies) > 0 && !again && (answer.Status < 200 || answer.Status > 299) {
		return wit.Reply{}, fault.Of("entity set "+set+" of "+root, answer, answer.Body)
	}
	metadata := answer
	if len(bodies) > 0 {
		metadata = &wit.Response{Status: 200, Body: []byte(bodies[0])}
	}
	m, err := service.ReadMetadata(root, metadata)
	if err != nil {
		return wit.Reply{}, err
	}
	f, err := feed.New(configured(root, set, given), m)
	if err != nil {
		return wit.Reply{}, err
	}
	if refused = refused || again; !again {
		bodies = append(bodies, string(answer.Body))
	}
	f.UseFormat(refused)
	f.Pages.Ordered, f.Pages.Countable, f.Pages.Top, f.Pages.Cursor = false, false, rows, nil
	f.PageSize = rows
	target, _ := f.Pages.Request(f.Pages.First(0))
	ask := func(q wit.Request) (wit.Reply, error) {
		state := pack.Flag(pack.Texts(nil, bodies), refused)
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{q}, State: state}}, nil
	}
	if len(bodies) == 1 {
		return ask(f.Request("", target))
	}
	shown, follow, err := rowsOf(f, bodies[1:], rows)
	if err != nil {
		return wit.Reply{}, err
	}
	if follow != nil {
		o := entry.Origin(entry.Table.Values(given))
		inside, err := f.Resolve(&o, follow.Link, target)
		if err != nil {
			return wit.Reply{}, err
		}
		return ask(f.Request(follow.Tag, inside))
	}
	fields := jsontext.List()
	for _, m := range f.Value.Nodes[0].Members {
		fields.Items = append(fields.Items, jsontext.Of(Member("name", jsontext.Text(m.Name)),
			Member("type", jsontext.Text(typeOf(f.Value.Nodes, m.Node)))))
	}
	document := jsontext.Of(Member("service", jsontext.Text(root)), Member("entitySet", jsontext.Text(set)),
		Member("fields", fields),
		Member("rows", shown))
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, document)))}, nil
}

// rowsOf decodes a page and the pages inside that have come; follow is the one that is needed next.
func rowsOf(f *feed.Feed, bodies []string, most int) (rows jsontext.Value, follow *decode.Follow, err error) {
	fail := func(err error) (jsontext.Value, *decode.Follow, error) {
		return jsontext.Value{}, nil, &wit.Fault{Kind: wit.FaultData, Message: "entity set " + f.Set + " of " +
			f.Service + ": " + err.Error()}
	}
	pg := feed.Reader{Pool: &feed.Pool{}, Feed: f}
	pg.Choose([]byte(bodies[0]), true)
	rows = jsontext.List()
	tag := ""
	for _, body := range bodies {
		pg.Out.Reset()
		if err := pg.Decoder.Feed(tag, []byte(body), true, &pg.Out); err != nil {
			return fail(err)
		}
		if f := f.Rows.Check(&pg.Out, nil); f != nil {
			return jsontext.Value{}, nil, f
		}
		if err := f.Rows.Rewrite(&pg.Out); err != nil {
			return fail(err)
		}
		if len(pg.Out.Faults) > 0 {
			return jsontext.Value{}, nil, &pg.Out.Faults[0].Fault
		}
		for _, row := range pg.Out.Rows {
			v, _, err := datum.Read(f.Value.Nodes, 0, pg.Out.Data[row.Value.Start:row.Value.Start+row.Value.Size])
			if err != nil {
				return fail(err)
			}
			if len(rows.Items) < most {
				rows.Items = append(rows.Items, shownValue(f.Value.Nodes, 0, v))
			}
		}
		if len(rows.Items) == most {
			return rows, nil, nil
		}
		if follow = nil; len(pg.Out.Follow) > 0 {
			follow, tag = &pg.Out.Follow[0], pg.Out.Follow[0].Tag
		}
	}
	return rows, follow, nil
}

// shownValue is a value as JSON: decimals with all their digits, times as ISO 8601 has them, bytes in base64.
func shownValue(nodes []wit.Node, node uint32, v any) jsontext.Value {
	n := &nodes[node]
	logical := ""
	if n.Name != nil {
		logical = *n.Name
	}
	switch x := v.(type) {
	case bool:
		return jsontext.Bool(x)
	case int8:
		return number(x)
	case int16:
		return number(x)
	case int32:
		switch logical {
		case wit.NameDate:
			return jsontext.Text(time.Unix(int64(x)*24*60*60, 0).UTC().Format("2006-01-02"))
		case wit.NameTime:
			return jsontext.Text(time.UnixMilli(int64(x)).UTC().Format("15:04:05.999"))
		}
		return number(x)
	case int64:
		switch logical {
		case wit.NameTimestamp:
			return jsontext.Text(time.UnixMilli(x).UTC().Format("2006-01-02T15:04:05.999Z"))
		case wit.NameMicroTimestamp:
			return jsontext.Text(time.UnixMicro(x).UTC().Format("2006-01-02T15:04:05.999999Z"))
		}
		return number(x)
	case float32:
		return shownFloat(float64(x), 32)
	case float64:
		return shownFloat(x, 64)
	case string:
		return jsontext.Text(x)
	case []byte:
		if c, err := value.Convert(&edm.Property{Type: edm.Type{Primitive: edm.Decimal}, Scale: -1}, n, x); err == nil {
			return numeral(c.Text)
		}
		return jsontext.Text(base64.StdEncoding.EncodeToString(x))
	case datum.Record:
		out := jsontext.Of()
		for i, m := range n.Members {
			out.Members = append(out.Members, Member(m.Name, shownValue(nodes, m.Node, x[i])))
		}
		return out
	case datum.List:
		out := jsontext.List()
		for _, item := range x {
			out.Items = append(out.Items, shownValue(nodes, n.Element, item))
		}
		return out
	}
	return jsontext.Value{}
}

func shownFloat(f float64, bits int) jsontext.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return jsontext.Text(strconv.FormatFloat(f, 'g', -1, bits))
	}
	return numeral(strconv.FormatFloat(f, 'g', -1, bits))
}

// typeOf names a type in a line.
func typeOf(nodes []wit.Node, node uint32) string {
	n := &nodes[node]
	name := [...]string{wit.Int8: "int8", wit.Int16: "int16", wit.Int32: "int32", wit.Int64: "int64",
		wit.Float32: "float32", wit.Float64: "float64",
		wit.Boolean: "boolean", wit.Text: "string", wit.Bytes: "bytes", wit.Array: "array", wit.Mapping: "map",
		wit.Structure: "struct"}[n.Kind]
	if n.Name != nil {
		switch *n.Name {
		case wit.NameDecimal:
			name = "Decimal"
			for _, p := range n.Parameters {
				if p.Name == wit.ParameterScale {
					name += ", scale " + p.Value
				}
			}
		case wit.NameTimestamp:
			name = "Timestamp"
		case wit.NameMicroTimestamp:
			name = "int64 of microseconds"
		case wit.NameTime:
			name = "Time"
		case wit.NameDate:
			name = "Date"
		default:
			name += " " + *n.Name
		}
	}
	if n.Kind == wit.Array {
		name += " of " + typeOf(nodes, n.Element)
	}
	if n.Optional {
		name += ", optional"
	}
	return name
}

// PeekOptions are the options of the command.
func PeekOptions(root, set wit.SettingSpec) []wit.SettingSpec {
	return []wit.SettingSpec{root, set, setting.Spec(OptionRows, wit.KindInt, wit.Medium, setting.Is("10"),
		"Number of rows.",
		setting.AtLeast(1), setting.AtMost(MaxPeeked), setting.Alias("rows"))}
}
