package chain

import (
	"bytes"
	"math"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java/dateformat"
)

var timestampSpecs = []wit.ConfigKey{
	setting.Define("field", wit.KindString, wit.High, wit.Ptr(""),
		"The field containing the timestamp, or empty if the entire value is a timestamp"),
	setting.Define("target.type", wit.KindString, wit.High, nil,
		"The desired timestamp representation: string, unix, Date, Time, or Timestamp",
		setting.Required(), setting.Allowed(timestampForms...)),
	spec("format", wit.KindString, wit.Ptr(""), "A SimpleDateFormat-compatible format for the timestamp. Used to "+
		"generate the output when type=string or used to parse the input if the input is a string."),
	setting.Define("unix.precision", wit.KindString, wit.Low, wit.Ptr("milliseconds"),
		"The desired Unix precision for "+
			"the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to generate the output when "+
			"type=unix or used to parse the input if the input is a Long.Note: This SMT will cause precision loss "+
			"during "+
			"conversions from, and to, values with sub-millisecond components.",
		setting.Allowed(precisionNames...)),
	replaceNullSpec,
}

// timestampForm is how a timestamp is represented.
type timestampForm uint8

const (
	stringForm timestampForm = iota
	unixForm
	dateForm
	timeForm
	wholeForm
	noForm
)

var timestampForms = []string{"string", "unix", "Date", "Time", "Timestamp"}

// timestampConverter is Kafka's TimestampConverter: it converts the time in a field, or in the whole key or value, to
// another form.
type timestampConverter struct {
	target
	timeForms
	field string
	// entries is the conversion of values without schema; its make is nil until one came.
	entries edit
}

// timeForms is what becomes of times.
type timeForms struct {
	to        timestampForm
	pattern   string
	format    *dateformat.Format
	parser    dateformat.Parser
	precision unixPrecision
}

// unixPrecision is what a number of a time counts: multiply milliseconds, or divide them.
type unixPrecision struct{ times, by int64 }

var milliseconds = unixPrecision{1, 1}

var precisionNames = []string{"nanoseconds", "microseconds", "milliseconds", "seconds"}

var unixPrecisions = map[string]unixPrecision{"nanoseconds": {1_000_000, 1}, "microseconds": {1_000, 1},
	"milliseconds": milliseconds, "seconds": {1, 1_000}}

func newTimestampConverter(at side, s settings) (operation, *wit.Error) {
	o := &timestampConverter{target: target{at: at, purpose: "converting timestamp formats", nulls: true,
		looks: "list", defaults: true},
		timeForms: timeForms{to: noForm, precision: milliseconds}}
	field, _ := s.find("field")
	o.field = setting.Trim(field)
	o.whole = o.field == ""
	to, err := s.needed("target.type")
	if err != nil {
		return nil, err
	}
	to = setting.Trim(to)
	for i, name := range timestampForms {
		if name == to {
			o.to = timestampForm(i)
		}
	}
	if o.to == noForm {
		return nil, invalid("target.type", to, "String must be one of: "+strings.Join(timestampForms, ", "))
	}
	if precision, given := s.find("unix.precision"); given {
		var known bool
		if o.precision, known = unixPrecisions[setting.Trim(precision)]; !known {
			return nil, invalid("unix.precision", setting.Trim(precision),
				"String must be one of: "+strings.Join(precisionNames, ", "))
		}
	}
	// What one setting says alone is checked before what two say together, as Kafka does.
	if err = o.configure(s); err != nil {
		return nil, err
	}
	pattern, _ := s.find("format")
	if o.pattern = setting.Trim(pattern); o.pattern != "" {
		var wrong error
		if o.format, wrong = dateformat.Parse(o.pattern); wrong != nil {
			return nil, fail("format", "Invalid value java.lang.IllegalArgumentException: "+wrong.Error()+
				" for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern "+
				"for string timestamps: "+o.pattern)
		}
		o.parser.Format = o.format
	} else if o.to == stringForm {
		return nil, fail("format", "TimestampConverter requires format option to be specified when "+
			"using string timestamps")
	}
	return o, nil
}

func (o *timestampConverter) apply(x *object, s step) *failure {
	if o.whole {
		return o.applyWhole(x, s.stage)
	}
	if x.isMap {
		if o.entries.make == nil { // an operation has one stage
			o.entries = o.ofEntries(s.stage)
		}
		names := []string{o.field}
		return x.editEntries(names, names, func(int) edit { return o.entries }, s.stage)
	}
	if o.replaceNull {
		x.replaceNulls(s.stage)
	}
	x.stays = false
	for i := range x.fields {
		f := &x.fields[i]
		if f.name != o.field {
			continue
		}
		from := f.schema()
		form, wrong := formOf(from, s.stage)
		by := o.of(from, form, s.stage)
		switch {
		case wrong != nil:
			x.fail(wrong)
			by = fails(wrong)
		case from.Kind == wit.Int64 && from.DefaultValue == nil && o.alike(form):
			by = edit{} // the bytes are the same
		}
		x.retype(f, o.node(from.Optional), by, s.stage)
	}
	return nil
}

// applyWhole converts a key or value.
func (o *timestampConverter) applyWhole(x *object, stage int) *failure {
	f, class := &x.fields[0], x.class
	if x.class = ""; x.isMap {
		if x.edit(f, o.ofEntries(stage), stage); x.pending != nil && class != "" {
			x.pending.text = strings.Replace(x.pending.text, dynamicClasses[f.bytes[0]], class, 1)
		}
		return nil
	}
	from := f.schema()
	form, wrong := formOf(from, stage)
	if wrong != nil {
		return wrong
	}
	by := o.of(from, form, stage)
	if class != "" {
		_, wrong = o.raw(form, nil, class, stage)
		by = fails(wrong)
	}
	x.root = o.node(from.Optional)
	x.retype(f, x.root, by, stage)
	return nil
}

// of is the conversion of values with a schema of times of a form.
func (o *timeForms) of(from *wit.SchemaNode, form timestampForm, stage int) edit {
	by := edit{make: func(dst, in []byte) ([]byte, *failure) { return o.convert(dst, in, from, form, stage) }}
	if c, ok := o.kernel(form); ok && from.Kind == wit.Int64 {
		by.conversion = always(c)
	}
	return by
}

// kernel is the conversion of milliseconds into a text, where the kernel knows it.
func (o *timeForms) kernel(form timestampForm) (c conversion, ok bool) {
	if o.to != stringForm || form != wholeForm && (form != unixForm || o.precision != milliseconds) {
		return c, false
	}
	text, numbers := o.format.Fixed()
	c.date = &kernel.Date{Size: len(text)}
	if text == nil || len(text) >= kernel.Room || len(numbers) >= len(c.date.Numbers) {
		return c, false
	}
	copy(c.date.Text[:], text)
	for i, n := range numbers {
		c.date.Numbers[i] = uint64(n.Which) | uint64(n.At+n.Digits-1)<<8 | uint64(n.Digits)<<16
	}
	c.Kind = kernel.Day
	return c, true
}

// alike tells whether times of a form have the bytes that they have in the form that is wanted.
func (o *timeForms) alike(form timestampForm) bool {
	counted := func(f timestampForm) bool {
		return f == wholeForm || f == unixForm && o.precision == milliseconds
	}
	return counted(form) && counted(o.to)
}

// ofEntries is the conversion of values without schema.
func (o *timeForms) ofEntries(stage int) edit {
	return edit{
		make: func(dst, in []byte) ([]byte, *failure) { return o.dynamic(dst, in, stage) },
		conversion: func(tag byte) (c conversion) {
			form := unixForm
			if tag == connectdata.TagInstant {
				form = wholeForm
			}
			if by, ok := o.kernel(form); ok && (tag == connectdata.TagInt64 || tag == connectdata.TagInstant) {
				c = by.tagged(tag, connectdata.TagText)
			}
			return c
		},
	}
}

// node is the schema of what comes out.
func (o *timeForms) node(optional bool) wit.SchemaNode {
	n := wit.SchemaNode{Optional: optional}
	switch o.to {
	case stringForm:
		n.Kind = wit.String
		return n
	case unixForm:
		n.Kind = wit.Int64
		return n
	case dateForm:
		n.Kind, n.Name = wit.Int32, wit.Ptr(wit.NameDate)
	case timeForm:
		n.Kind, n.Name = wit.Int32, wit.Ptr(wit.NameTime)
	default:
		n.Kind, n.Name = wit.Int64, wit.Ptr(wit.NameTimestamp)
	}
	n.Version = wit.Ptr(int32(1))
	return n
}

// formOf is the form that a schema says a time has.
func formOf(n *wit.SchemaNode, stage int) (timestampForm, *failure) {
	name := ""
	if n.Name != nil {
		name = *n.Name
	}
	switch {
	case name == wit.NameTimestamp:
		return wholeForm, nil
	case name == wit.NameDate:
		return dateForm, nil
	case name == wit.NameTime:
		return timeForm, nil
	case n.Kind == wit.String:
		return stringForm, nil
	case n.Kind == wit.Int64:
		return unixForm, nil
	}
	text := kindNames[n.Kind]
	if n.Name != nil {
		text = name + ":" + text
	}
	return noForm, &failure{stage, connectException,
		"Schema Schema{" + text + "} does not correspond to a known timestamp type format"}
}

// raw is the time of a value of a form, in milliseconds since 1970.
func (o *timeForms) raw(form timestampForm, v any, class string, stage int) (int64, *failure) {
	wrong := func(what string) (int64, *failure) {
		return 0, &failure{stage, dataException, "Expected " + what + ", but found class " + class}
	}
	switch x := v.(type) {
	case string:
		if form != stringForm {
			break
		}
		if o.format == nil {
			return 0, &failure{stage, nullPointer,
				`Cannot invoke "java.text.SimpleDateFormat.parse(String)" because "config.format" is null`}
		}
		at, unsure, ok := o.parser.Parse(x)
		zoned := ok && o.parser.Zoned && o.to == stringForm
		if !ok || zoned {
			text := "Could not parse timestamp: value (" + x + ") does not match pattern (" + o.pattern + ")"
			if unsure {
				text += ": the two digits of its year mean one or another, by the year in which they " +
					"are read; expected four"
			}
			if zoned {
				text += ": a text is not written in the time zone that another names; expected UTC"
			}
			return 0, &failure{stage, dataException, text}
		}
		return at, nil
	case int32:
		if at, ok := o.ofNumber(form, wit.Int32, int64(x)); ok {
			return at, nil
		}
	case int64:
		if at, ok := o.ofNumber(form, wit.Int64, x); ok {
			return at, nil
		}
	case connectdata.Instant:
		if form == wholeForm {
			return int64(x), nil
		}
	}
	switch form {
	case stringForm:
		return wrong("string timestamp to be a String")
	case unixForm:
		return wrong("Unix timestamp to be a Long")
	}
	return wrong(timestampForms[form] + " to be a java.util.Date")
}

// product is a product, at most what 64 bits hold.
func product(n, times int64) int64 {
	switch {
	case times == 1:
		return n
	case n > math.MaxInt64/times:
		return math.MaxInt64
	case n < math.MinInt64/times:
		return math.MinInt64
	}
	return n * times
}

// ofNumber is the time of a number of a form; ok is false where numbers of its kind have none in that form.
func (o *timeForms) ofNumber(form timestampForm, kind wit.Kind, n int64) (at int64, ok bool) {
	switch {
	case kind == wit.Int32 && form == dateForm:
		return n * msPerDay, true
	case kind == wit.Int32 && form == timeForm, kind == wit.Int64 && form == wholeForm,
		kind == wit.Int64 && form == unixForm && o.precision == milliseconds:
		return n, true
	case kind == wit.Int64 && form == unixForm:
		return product(n, o.precision.by) / o.precision.times, true
	}
	return 0, false
}

// append appends a time in the form that is wanted, with its tag where it is dynamic. Without schema Java has a Date
// and a Time as a java.util.Date.
func (o *timeForms) append(dst []byte, at int64, dynamic bool, stage int) ([]byte, *failure) {
	tag, n := byte(connectdata.TagInstant), at
	switch o.to {
	case stringForm:
		if dynamic {
			dst = append(dst, connectdata.TagText)
		}
		from := len(dst)
		dst = o.format.Append(append(dst, 0), at)
		if size := len(dst) - from - 1; size < 64 {
			dst[from] = byte(size << 1)
			return dst, nil
		}
		return connectdata.AppendBytes(dst[:from], bytes.Clone(dst[from+1:])), nil
	case unixForm:
		tag, n = connectdata.TagInt64, product(at, o.precision.times)/o.precision.by
	case dateForm:
		n = dateformat.FloorDiv(at, msPerDay)
		switch {
		case dynamic:
			n *= msPerDay
		case n < math.MinInt64/msPerDay: // the first day of all begins before the first time, and Java's wraps around
			return dst, &failure{stage, dataException,
				"Kafka Connect Date type should not have any time fields set to non-zero values."}
		default:
			n = int64(int32(n)) // days beyond 32 bits wrap around, as in Kafka's class of Date
		}
	case timeForm:
		n = dateformat.FloorMod(at, msPerDay)
	}
	if dynamic {
		dst = append(dst, tag)
	}
	return connectdata.AppendNumber(dst, n), nil
}

// convert appends what becomes of a value with a schema, given without its branch.
func (o *timeForms) convert(dst, in []byte, from *wit.SchemaNode, form timestampForm, stage int) ([]byte, *failure) {
	if n, ok := numberOf(from.Kind, in); ok && from.Kind <= wit.Int64 {
		if at, ok := o.ofNumber(form, from.Kind, n.whole); ok {
			return o.append(dst, at, false, stage)
		}
	}
	bare := *from
	bare.Optional, bare.DefaultValue = false, nil
	if bare.Kind >= wit.Array {
		_, f := o.raw(form, nil, javaClass(&wit.SchemaNode{Kind: bare.Kind}), stage)
		return dst, f
	}
	v, _, err := connectdata.Read([]wit.SchemaNode{bare}, 0, in)
	if err != nil {
		return dst, broken(stage, 0)
	}
	at, f := o.raw(form, v, javaClass(&wit.SchemaNode{Kind: bare.Kind}), stage)
	if f != nil {
		return dst, f
	}
	return o.append(dst, at, false, stage)
}

// dynamic appends what becomes of a value without schema, which was checked. Its class tells the form.
func (o *timeForms) dynamic(dst, in []byte, stage int) ([]byte, *failure) {
	var form timestampForm
	switch in[0] {
	case connectdata.TagNull:
		return append(dst, connectdata.TagNull), nil
	case connectdata.TagInstant:
		form = wholeForm
	case connectdata.TagInt64:
		form = unixForm
	case connectdata.TagText:
		form = stringForm
	default:
		return dst, &failure{stage, dataException, "TimestampConverter does not support class " +
			dynamicClasses[in[0]] + " objects as timestamps"}
	}
	if in[0] != connectdata.TagText {
		if n, size := connectdata.Number(in[1:]); size == len(in)-1 {
			at, _ := o.ofNumber(form, wit.Int64, n)
			return o.append(dst, at, true, stage)
		}
	}
	v, _, err := connectdata.ReadSchemaless(in)
	if err != nil {
		return dst, brokenDynamic(stage)
	}
	at, f := o.raw(form, v, dynamicClasses[in[0]], stage)
	if f != nil {
		return dst, f
	}
	return o.append(dst, at, true, stage)
}
