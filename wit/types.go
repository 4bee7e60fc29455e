package wit

import "strings"

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Setting is a setting as the user wrote it, after config providers were resolved. Settings of type password never
// reach a guest.
type Setting = Pair

// Header is an HTTP header.
type Header = Pair

// FaultKind says to the host what to do about a [Fault].
type FaultKind uint8

const (
	FaultConfig FaultKind = iota
	FaultUnauthorized
	FaultForbidden
	FaultNotFound
	FaultGone
	FaultConflict
	FaultData
	FaultIncompatible
	FaultTransient
	FaultUnsupported
	FaultInternal
	// FaultStale: what open worked out no longer fits; the host abandons the page, opens again and asks for the same
	// page again.
	FaultStale
)

var faultKinds = [...]string{"config", "unauthorized", "forbidden", "not-found", "gone", "conflict", "data",
	"incompatible",
	"transient", "unsupported", "internal", "stale"}

func (FaultKind) Cases() int { return len(faultKinds) }

// String is the kind's name in the contract.
func (k FaultKind) String() string {
	if int(k) < len(faultKinds) {
		return faultKinds[k]
	}
	return "unknown"
}

// Fault is what went wrong, in terms that the host can act on. It is an error; in Go it travels as *Fault.
type Fault struct {
	Kind    FaultKind
	Message string
	Setting *string
	// Code is the service's own code, which `retry.codes` may name.
	Code   *string
	Detail *string
}

// Error is the message with the setting or code that it concerns.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.Setting != nil {
		b.WriteString(*f.Setting)
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	if f.Code != nil {
		b.WriteString(" (code ")
		b.WriteString(*f.Code)
		b.WriteString(")")
	}
	return b.String()
}

// SettingKind is the type of a setting, as Kafka Connect's ConfigDef has it.
type SettingKind uint8

const (
	KindText SettingKind = iota
	KindPassword
	KindShort
	KindInt
	KindLong
	KindDouble
	KindBoolean
	KindListOfText
	KindClassName
)

func (SettingKind) Cases() int { return int(KindClassName) + 1 }

// Importance of a setting, as in Kafka Connect.
type Importance uint8

const (
	High Importance = iota
	Medium
	Low
)

func (Importance) Cases() int { return int(Low) + 1 }

// Rule is one rule about a setting's value or display.
type Rule struct {
	Variant
	Required *Unit
	Allowed  *[]string
	// Pattern is RE2.
	Pattern *string
	AtLeast *int64
	AtMost  *int64
	// Dependents are the settings whose recommendations depend on this one.
	Dependents *[]string
	// Alias is another name by which users know the setting.
	Alias       *string
	Group       *string
	Order       *int32
	Width       *uint8
	DisplayName *string
	// Role is what the host uses the setting for, such as http.address or retry.codes.
	Role *string
}

// SettingSpec declares a setting. Its name may hold {n}, {m}: `sap.odata#{n}.service`.
type SettingSpec struct {
	Name          string
	Kind          SettingKind
	DefaultValue  *string
	Importance    Importance
	Documentation string
	Rules         []Rule
}

// Names are the setting's name and its aliases.
func (s *SettingSpec) Names() []string {
	names := []string{s.Name}
	for _, r := range s.Rules {
		if r.Alias != nil {
			names = append(names, *r.Alias)
		}
	}
	return names
}

// Role is the role that the setting's rules give it, "" for none.
func (s *SettingSpec) Role() string {
	for _, r := range s.Rules {
		if r.Role != nil {
			return *r.Role
		}
	}
	return ""
}

// Examined is a setting after validation.
type Examined struct {
	Spec        SettingSpec
	Value       *string
	Errors      []string
	Recommended []string
	Visible     bool
}

// Request is an HTTP exchange that a plugin wants; see culvert.wit for what is the host's.
type Request struct {
	Tag, Method string
	// Target is path and query on the connector's origin, or absolute.
	Target     string
	Headers    []Header
	Body       []byte
	Repeatable bool
	// TokenFrom is where to fetch a CSRF token, if the service wants one.
	TokenFrom *string
	// PatienceMs is the silence allowed before the first byte, in milliseconds.
	PatienceMs *uint32
}

// OffsetHeader begins the names of headers that the host puts on a response without a request, tag and position: the
// document of a row that a source's plugin has refused, which is read again out of its dead letter. The rest of a name
// is that of a field of the feed's stored offset, the header's value is the field's text; fields of other types are not
// given. So keys can be written as those of rows that came in pages are.
const OffsetHeader = "culvert-offset-"

// Response is a final answer. Status 0 (only in settle): the request may have arrived, no answer came. At is in
// milliseconds since 1970-01-01T00:00:00Z.
type Response struct {
	Tag     string
	Status  uint16
	Target  string
	Headers []Header
	Body    []byte
	At      int64
}

// Need asks for documents: the answers, whatever their status and in the order asked, come with the next call, with
// State.
type Need struct {
	Requests []Request
	State    []byte
}

// Arrangement is the outcome of subscribe and retire.
type Arrangement struct {
	Variant
	Ask  *Need
	Done *string
}

// Kind is the type of a schema node, as in Kafka Connect.
type Kind uint8

const (
	Int8 Kind = iota
	Int16
	Int32
	Int64
	Float32
	Float64
	Boolean
	Text
	Bytes
	Array
	Mapping
	Structure
)

func (Kind) Cases() int { return int(Structure) + 1 }

// Member is a field of a structure: its name and the number of its node.
type Member struct {
	Name string
	Node uint32
}

// Node is one type in a schema. Nodes refer only to nodes with higher numbers; 0 stands for none.
type Node struct {
	Kind       Kind
	Optional   bool
	Name       *string
	Version    *int32
	Doc        *string
	Parameters []Setting
	// DefaultValue holds structured bytes of this node without its own branch number.
	DefaultValue *[]byte
	Members      []Member
	Key, Element uint32
}

// Schema is a list of nodes, node 0 the root. Ids below [GuestSchemas] are the host's.
type Schema struct {
	ID    uint32
	Nodes []Node
}

// GuestSchemas is the first schema id that belongs to a guest.
const GuestSchemas = 0x8000_0000

// Names of the logical types, as in Kafka Connect.
const (
	NameDecimal   = "org.apache.kafka.connect.data.Decimal"
	NameDate      = "org.apache.kafka.connect.data.Date"
	NameTime      = "org.apache.kafka.connect.data.Time"
	NameTimestamp = "org.apache.kafka.connect.data.Timestamp"
	// NameMicroTimestamp is Debezium's: microseconds since 1970 in an int64. Kafka Connect has no such type of its own.
	NameMicroTimestamp = "io.debezium.time.MicroTimestamp"
	// ParameterScale and ParameterPrecision are parameters of a Decimal node; the second is Confluent's.
	ParameterScale     = "scale"
	ParameterPrecision = "connect.decimal.precision"
)

// Form says how a datum is held in a batch's data.
type Form uint8

const (
	Absent Form = iota
	// Unchanged: as the input row has it; Schema still counts. Only in results of transforms.
	Unchanged
	Structured
	Dynamic
	// Raw: header blocks only.
	Raw
)

func (Form) Cases() int { return int(Raw) + 1 }

// Datum is a value's place in a batch's data. Its layout in memory is that of the canonical ABI: 16 bytes.
type Datum struct {
	Form   Form
	Schema uint32
	// Start and Size are in bytes from the start of the call's data.
	Start, Size uint32
}

// Row is a record of a batch. Its layout in memory is that of the canonical ABI: 80 bytes, aligned to 8.
type Row struct {
	Origin, Topic uint32
	// Partition: -1, the partitioner decides.
	Partition int32
	// Offset: -1 in sources.
	Offset int64
	// Timestamp in milliseconds since 1970, -1: none. Sinks get that of the record as it was read, whatever transforms
	// made of it.
	Timestamp           int64
	Key, Value, Headers Datum
}

// RowFault is a row that could not be handled; see culvert.wit.
type RowFault struct {
	Origin, Stage     uint32
	ErrorClass        string
	Fault             Fault
	RawStart, RawSize uint32
}

// Scalar is a value inside an offset or a partition.
type Scalar struct {
	Variant
	Null    *Unit
	Boolean *bool
	Integer *int64
	Real    *float64
	Text    *string
}

// Field is an entry of an offset or a partition, in order, as Kafka Connect stores them.
type Field struct {
	Name  string
	Value Scalar
}

// TextField makes an entry of an offset that holds a text.
func TextField(name, v string) Field { return Field{name, Scalar{Text: &v}} }

// IntegerField makes an entry of an offset that holds a whole number.
func IntegerField(name string, v int64) Field { return Field{name, Scalar{Integer: &v}} }

// BooleanField makes an entry of an offset that holds true or false.
func BooleanField(name string, v bool) Field { return Field{name, Scalar{Boolean: &v}} }

// NullField makes an entry of an offset that holds null.
func NullField(name string) Field { return Field{name, Scalar{Null: Chosen}} }

// MaxOffsetBytes is how large an offset or the partition of a feed may be, see [OffsetBytes]: it is stored with every
// flush, and compacted topics keep it for good.
const MaxOffsetBytes = 64 << 10

// OffsetBytes is the size of an offset, names and values together.
func OffsetBytes(fields []Field) (size int) {
	for i := range fields {
		size += len(fields[i].Name) + 8
		if text := fields[i].Value.Text; text != nil {
			size += len(*text)
		}
	}
	return size
}

// Lookup returns the value of the entry with that name.
func Lookup(fields []Field, name string) (Scalar, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Scalar{}, false
}
