package transforms

import (
	"slices"

	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var dropHeadersKeys = []wit.ConfigKey{requiredListKey("headers", "The name of the headers to be removed.")}

// DropHeaders removes all headers with some names.
type DropHeaders struct{ names []string }

func newDropHeaders(values Settings) (Operation, *wit.Error) {
	names, err := values.RequiredList("headers")
	return &DropHeaders{names}, err
}

// Drops reports whether headers of a name are removed.
func (d *DropHeaders) Drops(name string) bool { return slices.Contains(d.names, name) }

// DropEffect is what DropHeaders does to encoded headers.
type DropEffect uint64

const (
	// DropsNothing is also the effect on rows without headers.
	DropsNothing DropEffect = iota
	// DropsAll means that no header remains. It is also the effect on an empty list.
	DropsAll
	// DropsSome is also the effect on invalid headers and on more than maxKept.
	DropsSome
)

// maxKept is how many headers a row can have on the fast path.
const maxKept = 63

// Effect returns the effect on encoded headers.
func (d *DropHeaders) Effect(block []byte) DropEffect {
	list := record.ReadHeaders(block)
	count := list.Remaining
	if count < 0 || count > maxKept {
		return DropsSome
	}
	dropped := int64(0)
	for list.Remaining > 0 {
		name, ok := list.Next()
		if !ok {
			return DropsSome
		}
		if d.Drops(string(name)) {
			dropped++
		}
	}
	switch dropped {
	case count:
		return DropsAll
	case 0:
		return DropsNothing
	}
	return DropsSome
}

func (d *DropHeaders) Apply(ctx *Context, rec *record.Record, stage int) (*record.Failure, error) {
	part := &rec.Parts[record.Headers]
	if part.Encoding != wit.Raw {
		return nil, nil
	}
	list := record.ReadHeaders(part.Bytes)
	var remaining []byte // the encoded headers that are not dropped
	var count int64      // the number of these
	total := list.Remaining
	for list.Remaining > 0 {
		start := list.Rest
		name, ok := list.Next()
		if !ok {
			return record.DataFailure(stage, "invalid bytes of headers"), nil
		}
		if !d.Drops(string(name)) {
			if remaining == nil {
				remaining = make([]byte, 0, len(part.Bytes))
			}
			remaining = append(remaining, start[:len(start)-len(list.Rest)]...)
			count++
		}
		if list.Remaining == 0 && count == total {
			return nil, nil
		}
	}
	if count == 0 {
		part.Set(wit.Absent, 0, nil)
		return nil, nil
	}
	from := len(ctx.Buf)
	ctx.Buf = append(connectdata.AppendNumber(ctx.Buf, count), remaining...)
	part.Set(wit.Raw, 0, ctx.Buf[from:])
	return nil, nil
}

var insertHeaderKeys = []wit.ConfigKey{
	requiredKey("header", wit.High, "The name of the header."),
	requiredKey("value.literal", wit.High, "The literal value that is to be set as the header value on all records."),
}

// InsertHeader adds the same header to all records.
type InsertHeader struct {
	Name  string
	nodes []wit.SchemaNode // schema of the value, or nil
	value []byte
	bytes []byte // the encoded header, nil before the first call of Header
}

func newInsertHeader(options Settings) (Operation, *wit.Error) {
	name, err := options.Required("header")
	if err != nil {
		return nil, err
	}
	literalText, err := options.Required("value.literal")
	if err != nil {
		return nil, err
	}
	transform := &InsertHeader{Name: setting.Trim(name)}
	literalText = setting.Trim(literalText)
	literal, parseErr := values.Parse(literalText)
	if parseErr == nil {
		transform.nodes, transform.value, parseErr = literal.Encode()
	}
	if parseErr != nil {
		return nil, invalidSetting("value.literal", literalText, parseErr.Error())
	}
	return transform, nil
}

func (i *InsertHeader) Apply(ctx *Context, rec *record.Record, stage int) (*record.Failure, error) {
	return rec.AddHeaders(&ctx.Scratch, 1, stage, func(dst []byte) []byte {
		return append(dst, i.Header(&ctx.Schemas)...)
	}), nil
}

// Header returns the encoded header. The first call declares the schema of its value.
func (i *InsertHeader) Header(registry *record.Schemas) []byte {
	if i.bytes == nil {
		encoding := wit.Schemaless
		schema := uint32(0)
		if i.nodes != nil {
			encoding = wit.WithSchema
			schema = registry.Declare(i.nodes)
		}
		i.bytes = connectdata.AppendNumber(append(connectdata.AppendString(nil, i.Name), byte(encoding)), int64(schema))
		i.bytes = connectdata.AppendBytes(i.bytes, i.value)
	}
	return i.bytes
}
