package wit

// Pair is a name and a value.
type Pair struct{ Name, Value string }

// Setting is a setting as written, after config providers. Values of type password never reach a guest.
type Setting = Pair

// Header is an HTTP header.
type Header = Pair

// ErrorKind tells the host how to handle an [Error].
type ErrorKind uint8

const (
	ErrorConfig ErrorKind = iota
	ErrorUnauthorized
	ErrorForbidden
	ErrorNotFound
	ErrorGone
	ErrorConflict
	ErrorData
	ErrorIncompatible
	ErrorTransient
	ErrorUnsupported
	ErrorInternal
	// ErrorStale means that the context of Open is outdated: the host opens again and requests the page again.
	ErrorStale
)

var errorKinds = [...]string{"config", "unauthorized", "forbidden", "not-found", "gone", "conflict", "data",
	"incompatible", "transient", "unsupported", "internal", "stale"}

func (ErrorKind) Cases() int { return len(errorKinds) }

// String returns the kind's name in the contract.
func (k ErrorKind) String() string {
	if int(k) < len(errorKinds) {
		return errorKinds[k]
	}
	return "unknown"
}

// Error is an error in terms that the host can act on. *Error implements error.
type Error struct {
	Kind    ErrorKind
	Message string
	Setting *string
	Code    *string // the service's own code, which `retry.codes` may name
	Detail  *string
}

// Error returns the message with the setting or code that it concerns.
func (e *Error) Error() string {
	message := e.Message
	if e.Setting != nil {
		message = *e.Setting + ": " + message
	}
	if e.Code != nil {
		message += " (code " + *e.Code + ")"
	}
	return message
}

// SettingKind is the type of a setting, as in Kafka's ConfigDef.Type.
type SettingKind uint8

const (
	KindString SettingKind = iota
	KindPassword
	KindShort
	KindInt
	KindLong
	KindDouble
	KindBoolean
	KindList
	KindClass
)

func (SettingKind) Cases() int { return int(KindClass) + 1 }

// Importance is the importance of a setting, as in Kafka Connect.
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
	Required    *struct{}
	Allowed     *[]string
	Pattern     *string // in the syntax of RE2
	AtLeast     *int64
	AtMost      *int64
	Dependents  *[]string // the settings whose recommendations depend on this one
	Alias       *string   // another name by which users know the setting
	Group       *string
	Order       *int32
	Width       *uint8
	DisplayName *string
	// Role names what the host uses the setting for, such as http.address or retry.codes.
	Role *string
}

// ConfigKey declares a setting. Its name may contain {n}, {m}: `sap.odata#{n}.service`.
type ConfigKey struct {
	Name          string
	Kind          SettingKind
	DefaultValue  *string
	Importance    Importance
	Documentation string
	Rules         []Rule
}

// Names returns the setting's name and its aliases.
func (c *ConfigKey) Names() []string {
	names := []string{c.Name}
	for _, r := range c.Rules {
		if r.Alias != nil {
			names = append(names, *r.Alias)
		}
	}
	return names
}

// Role returns the role in the setting's rules, or "".
func (c *ConfigKey) Role() string {
	for _, r := range c.Rules {
		if r.Role != nil {
			return *r.Role
		}
	}
	return ""
}

// ConfigValue is a setting after validation.
type ConfigValue struct {
	Key         ConfigKey
	Value       *string
	Errors      []string
	Recommended []string
	Visible     bool
}

// Request is an HTTP request that a plugin wants; culvert.wit lists what the host adds and drops.
type Request struct {
	Tag        string
	Method     string
	Target     string // path and query on the connector's origin, or absolute
	Headers    []Header
	Body       []byte
	Repeatable bool    // whether sending the request twice does no harm
	TokenPath  *string // the target from which to fetch a CSRF token, if the service wants one
	// FirstByteTimeoutMs is how long to wait for the first byte, in milliseconds. Nil means the ordinary limit.
	FirstByteTimeoutMs *uint32
}

// OffsetHeader is the prefix of headers that the host adds to the document of a row that a source rejected when the row
// is replayed from the dead letter queue; such a response has no request, tag and position. The rest of the name is the
// name of an entry of the feed's stored offset, the value is the entry's string; entries of other types are left out.
// With them the plugin can write the same keys as for rows of a page.
const OffsetHeader = "culvert-offset-"

// SessionLostHeader is a header that the host adds to a rejected page of a read if the session of the page before has
// ended, or was opened by an earlier run: tokens and cursors of its links may have ended with it. Its value is true.
const SessionLostHeader = "culvert-session-lost"

// Response is a final response. Status 0 (only in HandleResponse) means that the request may have arrived and no
// response came. ReceivedAt is in milliseconds since 1970-01-01T00:00:00Z.
type Response struct {
	Tag        string
	Status     uint16
	Target     string
	Headers    []Header
	Body       []byte
	ReceivedAt int64
}

// RequestBatch requests documents. The host passes State and all responses, in order, with the next call.
type RequestBatch struct {
	Requests []Request
	State    []byte
}

// CallResult is the result of subscribe and retire.
type CallResult struct {
	Variant
	Pending *RequestBatch
	Done    *string
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
	String
	Bytes
	Array
	Map
	Struct
)

func (Kind) Cases() int { return int(Struct) + 1 }

// Field is a field of a struct: its name and the number of its node.
type Field struct {
	Name string
	Node uint32
}

// SchemaNode is one type in a schema. Nodes refer only to nodes with higher numbers; 0 means none.
type SchemaNode struct {
	Kind         Kind
	Optional     bool
	Name         *string
	Version      *int32
	Doc          *string
	Parameters   []Setting
	DefaultValue *[]byte // encoded with the schema of this node, without its own branch number
	Fields       []Field
	Key          uint32
	Element      uint32
}

// Schema is a list of nodes; node 0 is the root. IDs below [GuestSchemas] are the host's.
type Schema struct {
	ID    uint32
	Nodes []SchemaNode
}

// GuestSchemas is the first schema ID of a guest.
const GuestSchemas = 0x8000_0000

// Names of the logical types, as in Kafka Connect.
const (
	NameDecimal   = "org.apache.kafka.connect.data.Decimal"
	NameDate      = "org.apache.kafka.connect.data.Date"
	NameTime      = "org.apache.kafka.connect.data.Time"
	NameTimestamp = "org.apache.kafka.connect.data.Timestamp"
	// NameMicroTimestamp is Debezium's type: microseconds since 1970 in an int64. Kafka Connect has none.
	NameMicroTimestamp = "io.debezium.time.MicroTimestamp"
	// ParameterScale and ParameterPrecision are parameters of a Decimal node; the second is Confluent's.
	ParameterScale     = "scale"
	ParameterPrecision = "connect.decimal.precision"
)

// Encoding is how a value is encoded in a batch's data.
type Encoding uint8

const (
	Absent Encoding = iota
	// Unchanged is the value of the input row, with the schema of the result. Only in results of transforms.
	Unchanged
	WithSchema
	Schemaless
	// Raw is only for blocks of headers.
	Raw
)

func (Encoding) Cases() int { return int(Raw) + 1 }

// ValueSlice is the place of a value in a batch's data. Its layout in memory is that of the canonical ABI: 16 bytes.
type ValueSlice struct {
	Encoding Encoding
	Schema   uint32
	// Start and Size are in bytes from the start of the call's data.
	Start uint32
	Size  uint32
}

// Row is a record of a batch. Its layout in memory is that of the canonical ABI: 80 bytes, aligned to 8.
type Row struct {
	RowIndex  uint32
	Topic     uint32
	Partition int32 // -1 if the partitioner decides
	Offset    int64 // the record's offset in Kafka, or -1 in sources
	// Timestamp is in milliseconds since 1970, or -1. In sinks it is the record's, whatever transforms made of it.
	Timestamp int64
	Key       ValueSlice
	Value     ValueSlice
	Headers   ValueSlice
}

// RowError is the error of one row; see culvert.wit.
type RowError struct {
	RowIndex uint32
	// Stage is the index of the transform that failed. Only for transforms.
	Stage      uint32
	ErrorClass string
	Error      Error
	// RawStart and RawSize are the place of the row's original bytes in the data.
	RawStart uint32
	RawSize  uint32
}

// Scalar is a value inside an offset or a partition.
type Scalar struct {
	Variant
	Null    *struct{}
	Boolean *bool
	Integer *int64
	Real    *float64
	String  *string
}

// OffsetEntry is an entry of an offset or a partition, in order, as Kafka Connect stores them.
type OffsetEntry struct {
	Name  string
	Value Scalar
}

// StringEntry returns an offset entry with a string.
func StringEntry(name, v string) OffsetEntry { return OffsetEntry{name, Scalar{String: &v}} }

// IntegerEntry returns an offset entry with an integer.
func IntegerEntry(name string, v int64) OffsetEntry { return OffsetEntry{name, Scalar{Integer: &v}} }

// BooleanEntry returns an offset entry with a boolean.
func BooleanEntry(name string, v bool) OffsetEntry { return OffsetEntry{name, Scalar{Boolean: &v}} }

// NullEntry returns an offset entry with null.
func NullEntry(name string) OffsetEntry { return OffsetEntry{name, Scalar{Null: Set}} }

// MaxOffsetBytes is the largest size of an offset or of a feed's partition in bytes, see [OffsetBytes]: it is stored
// with every flush, and compacted topics keep it.
const MaxOffsetBytes = 64 << 10

// OffsetBytes returns the size of an offset in bytes, names and values together.
func OffsetBytes(fields []OffsetEntry) (size int) {
	for i := range fields {
		size += len(fields[i].Name) + 8
		if s := fields[i].Value.String; s != nil {
			size += len(*s)
		}
	}
	return size
}

// Lookup returns the value of the entry with that name.
func Lookup(fields []OffsetEntry, name string) (Scalar, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Scalar{}, false
}
