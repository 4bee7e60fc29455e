package inspect

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// peek returns the first rows of an entity set, with the names and types of their fields.
func peek(prober *probe.Prober, args arguments) (wit.CommandResult, error) {
	feed, model, err := feedOf(prober, args)
	if err != nil {
		return wit.CommandResult{}, err
	}
	// Some rows are enough, in any order and without a count.
	feed.Paging.Ordered = false
	feed.Paging.Countable = false
	if set := model.Set(args.set); set == nil || !set.Singleton {
		feed.Paging.Top = args.rows
	}
	feed.Paging.Cursor = nil
	feed.PageSize = args.rows
	// Request the first page, if necessary without $format.
	var target string
	first := func(refused bool) (*wit.Response, error) {
		feed.SetFormatRefused(refused)
		target, _ = feed.Paging.Request(feed.Paging.First(0))
		request := feed.Request("", target)
		request.Tag = "page " + target
		return prober.Get(request)
	}
	answer, err := first(false)
	if err == nil && odataerror.RefusesFormat(answer, answer.Body) {
		answer, err = first(true)
	}
	// Decode it, and the further pages of expanded rows.
	reader := feedreader.Reader{Pool: &feedreader.Pool{}, Feed: feed}
	printable := jsontext.NewArray()
	tag := ""
	for pages := 0; err == nil; pages++ {
		if answer.Status < 200 || answer.Status > 299 {
			return wit.CommandResult{}, odataerror.FromResponse("entity set "+args.set+" of "+args.root, answer,
				answer.Body)
		}
		if pages == 0 {
			reader.ChooseDecoder(answer.Body, true)
		}
		if err := addRows(&reader, tag, answer.Body, &printable, args.rows); err != nil {
			return wit.CommandResult{}, err
		}
		if len(printable.Items) == args.rows || len(reader.Out.NestedPages) == 0 {
			break
		}
		follow := reader.Out.NestedPages[0]
		o := sourceconfig.Origin(args.values())
		inside, wrong := feed.ResolveNested(&o, follow, target)
		if wrong != nil {
			return wit.CommandResult{}, wrong
		}
		request := feed.Request(follow.Tag, inside)
		tag = follow.Tag
		request.Tag = "page inside " + strconv.Itoa(pages)
		answer, err = prober.Get(request)
	}
	if err != nil {
		return wit.CommandResult{}, err
	}
	fields := jsontext.NewArray()
	for _, m := range feed.Value.Nodes[0].Fields {
		fields.Items = append(fields.Items, jsontext.NewObject(probe.TextMember("name", m.Name),
			probe.TextMember("type", typeOf(feed.Value.Nodes, m.Node))))
	}
	return probe.JSONResult(jsontext.NewObject(probe.TextMember("service", args.root),
		probe.TextMember("entitySet", args.set),
		member("fields", fields), member("rows", printable))), nil
}

// addRows decodes a page of the set, or of expanded rows, and adds its rows until there are limit rows.
func addRows(reader *feedreader.Reader, tag string, body []byte, rows *jsontext.Value, limit int) error {
	feed := reader.Feed
	fail := func(err error) error {
		return &wit.Error{Kind: wit.ErrorData, Message: "entity set " + feed.Set + " of " + feed.Service + ": " +
			err.Error()}
	}
	reader.Out.Reset()
	if err := reader.Decoder.Feed(tag, body, true, &reader.Out); err != nil {
		return fail(err)
	}
	if f := feed.Rows.Check(&reader.Out, nil, nil); f != nil {
		return f
	}
	if err := feed.Rows.Rewrite(&reader.Out); err != nil {
		return fail(err)
	}
	if len(reader.Out.RowErrors) > 0 {
		return &reader.Out.RowErrors[0].Error
	}
	for _, row := range reader.Out.Rows {
		v, _, err := connectdata.Read(feed.Value.Nodes, 0,
			reader.Out.Data[row.Value.Start:row.Value.Start+row.Value.Size])
		if err != nil {
			return fail(err)
		}
		if len(rows.Items) < limit {
			rows.Items = append(rows.Items, jsonValue(feed.Value.Nodes, 0, v))
		}
	}
	return nil
}

// jsonValue converts a value to JSON: decimals with all digits, times in ISO 8601, bytes in base64.
func jsonValue(nodes []wit.SchemaNode, node uint32, v any) jsontext.Value {
	n := &nodes[node]
	logical := ""
	if n.Name != nil {
		logical = *n.Name
	}
	switch x := v.(type) {
	case bool:
		return jsontext.NewBool(x)
	case int8:
		return number(x)
	case int16:
		return number(x)
	case int32:
		switch logical {
		case wit.NameDate:
			return jsontext.NewString(time.Unix(int64(x)*24*60*60, 0).UTC().Format("2006-01-02"))
		case wit.NameTime:
			return jsontext.NewString(time.UnixMilli(int64(x)).UTC().Format("15:04:05.999"))
		}
		return number(x)
	case int64:
		switch logical {
		case wit.NameTimestamp:
			return jsontext.NewString(time.UnixMilli(x).UTC().Format("2006-01-02T15:04:05.999Z"))
		case wit.NameMicroTimestamp:
			return jsontext.NewString(time.UnixMicro(x).UTC().Format("2006-01-02T15:04:05.999999Z"))
		}
		return number(x)
	case float32:
		return jsonFloat(float64(x), 32)
	case float64:
		return jsonFloat(x, 64)
	case string:
		return jsontext.NewString(x)
	case []byte:
		if c, err := value.Convert(&edm.Property{Type: edm.Type{Primitive: edm.Decimal}, Scale: -1}, n, x); err == nil {
			return jsonNumber(c.Text)
		}
		return jsontext.NewString(base64.StdEncoding.EncodeToString(x))
	case connectdata.Struct:
		out := jsontext.NewObject()
		for i, m := range n.Fields {
			out.Members = append(out.Members, member(m.Name, jsonValue(nodes, m.Node, x[i])))
		}
		return out
	case connectdata.List:
		out := jsontext.NewArray()
		for _, item := range x {
			out.Items = append(out.Items, jsonValue(nodes, n.Element, item))
		}
		return out
	}
	return jsontext.Value{}
}

func jsonFloat(f float64, bits int) jsontext.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return jsontext.NewString(strconv.FormatFloat(f, 'g', -1, bits))
	}
	return jsonNumber(strconv.FormatFloat(f, 'g', -1, bits))
}

// typeOf describes the type of a schema node, for the user.
func typeOf(nodes []wit.SchemaNode, node uint32) string {
	n := &nodes[node]
	name := [...]string{wit.Int8: "int8", wit.Int16: "int16", wit.Int32: "int32", wit.Int64: "int64",
		wit.Float32: "float32", wit.Float64: "float64", wit.Boolean: "boolean", wit.String: "string",
		wit.Bytes: "bytes", wit.Array: "array", wit.Map: "map", wit.Struct: "struct"}[n.Kind]
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
