package wit

// Level is the level of a log line.
type Level uint8

const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

func (Level) Cases() int { return int(LevelError) + 1 }

// Host contains all that a plugin may import.
type Host interface {
	Log(level Level, message string)
}

// ComponentKind is the kind of a component.
type ComponentKind uint8

const (
	ComponentSource ComponentKind = iota
	ComponentSink
	ComponentTransformation
	ComponentPredicate
)

func (ComponentKind) Cases() int { return int(ComponentPredicate) + 1 }

// String returns the kind's name in Kafka Connect's REST API.
func (k ComponentKind) String() string {
	return [...]string{"source", "sink", "transformation", "predicate"}[k]
}

// Component is a connector, transform or predicate that a module provides under a class name.
type Component struct {
	Name          string
	Kind          ComponentKind
	Aliases       []string
	Documentation string
	Settings      []ConfigKey
	// Prefixes of the component's settings. A setting whose name begins with one of them and matches no declaration
	// is an error, so that a misspelt name is never ignored (RATIONALE.md P6).
	Prefixes []string
}

// Description describes a module and its components.
type Description struct {
	Name          string
	Version       string
	Documentation string
	Components    []Component
}

// ValidateResult is the result of validate.
type ValidateResult struct {
	Variant
	Pending *RequestBatch
	Done    *[]ConfigValue
}

// Plugin is implemented by every module.
type Plugin interface {
	// Describe returns the description of the module. It must return the same each time.
	Describe() Description
	// Validate checks the settings of a component together. If online is set, it may request documents from the
	// service, for checks and recommendations: the host calls it again with their state and responses.
	Validate(component string, settings []Setting, online bool, state []byte,
		answers []Response) (ValidateResult, error)
}

// Command is a command that a plugin adds to the command line.
type Command struct {
	Name    string
	Usage   string
	Options []ConfigKey
	// Changes means that the command changes something at the service, by GET or another method. REST neither lists
	// nor runs it.
	Changes bool
}

// CommandResult is the result of run. Document is JSON; Schemas are printed in the format that the user chooses.
type CommandResult struct {
	Variant
	Pending  *RequestBatch
	Document *string
	Schemas  *[]Schema
}

// Tools is optional: commands for the command line.
type Tools interface {
	Commands() []Command
	// Run runs a command. It may request documents like Validate.
	Run(command string, options []Setting, settings []Setting, state []byte, answers []Response) (CommandResult, error)
}

// Support is whether a source supports exactly-once. Unsupported is the reason why it does not.
type Support struct {
	Variant
	Supported   *struct{}
	Unsupported *string
}

// PlanResult distributes a source's work over tasks.
type PlanResult struct {
	Tasks       [][]Setting
	ExactlyOnce Support
	// Claims are names of resources that only one connector of an installation may use, such as a delta queue.
	Claims []string
}

// MismatchPolicy is the host's reaction to a stored offset with another fingerprint.
type MismatchPolicy uint8

const (
	// MismatchFail stops the task and reports the difference.
	MismatchFail MismatchPolicy = iota
	// MismatchReload reads the feed again from its start.
	MismatchReload
	// MismatchKeep continues from the stored offset.
	MismatchKeep
)

func (MismatchPolicy) Cases() int { return int(MismatchKeep) + 1 }

// Feed is a stream of rows with its own offset.
type Feed struct {
	Name        string
	Partition   []OffsetEntry
	Topic       string
	Key         *Schema // for display and checks before the start; Decode declares the schemas of rows
	Value       *Schema
	PollEveryMs *uint32 // the pause before the next poll; while polls return no rows, the host waits longer
	Cron        *string
	Subscribes  bool // the host calls Subscribe for it
	// Fingerprint identifies what the offset belongs to.
	Fingerprint string
	OnMismatch  MismatchPolicy
}

// SourceOpened is the state that a source prepares before it reads.
type SourceOpened struct {
	Context []byte
	Feeds   []Feed
}

// SourceOpenResult is the result of a source's open.
type SourceOpenResult struct {
	Variant
	Pending *RequestBatch
	Ready   *SourceOpened
}

// PollReason is the reason for a call of next.
type PollReason struct {
	Variant
	Start   *struct{}
	More    *struct{}
	Poll    *struct{}
	Trigger *string
	// Snapshot requests the feed as it is now, whatever its offset. The string is the snapshot's name.
	Snapshot *string
}

// Fetch is a request for a page.
type Fetch struct {
	Request Request
	// Position is stored with the page's rows while it is being read. Nil: rows carry the stored offset unchanged.
	Position       *[]OffsetEntry
	RepeatsExactly bool // whether the same request returns the same rows in the same order
	// Acknowledges means that the request confirms to the service that earlier data has arrived. The host sends it when
	// those rows and their offset are durable, or a crash would lose them (RATIONALE.md P1).
	Acknowledges bool
}

// NextAction is the result of next.
type NextAction struct {
	Variant
	Fetch    *Fetch
	Idle     *struct{}
	Finished *struct{}
}

// LinkedRequest is a request for nested rows of a page.
type LinkedRequest struct {
	Request  Request
	Tolerate []uint16 // statuses other than 2xx whose responses go to Decode like others
}

// DecodeResult holds the rows and errors of one piece of a page.
type DecodeResult struct {
	Schemas []Schema
	Rows    []Row
	Data    []byte
	Errors  []RowError
	// Linked requests are sent before the host passes more pieces of the main body.
	Linked []LinkedRequest
	// Next is the offset after the page; it is set with the last piece. Nil leaves the offset as it is.
	Next *[]OffsetEntry
	// More means that rows are available at Next now, or after WaitMs milliseconds. After a page without a position
	// that a trigger had caused, both together repeat that trigger once after that time, at most a minute.
	More   bool
	WaitMs uint32
}

// Source reads a service. An instance keeps nothing between calls, except pages from Begin to the last Decode.
type Source interface {
	// Plan distributes the feeds of a connector over at most maxTasks tasks.
	Plan(component string, settings []Setting, maxTasks uint32) (PlanResult, error)
	// Open returns the context that the host passes with the other calls, and the feeds of a task. It may request
	// documents: the host calls it again with their state and responses.
	Open(component string, settings []Setting, state []byte, answers []Response) (SourceOpenResult, error)
	// Next returns what to request for a feed at an offset. now is in milliseconds since 1970.
	Next(context []byte, feed uint32, offset []OffsetEntry, reason PollReason, now int64) (NextAction, error)
	// Begin starts a page with its response, whatever the status, and returns the page's number. The body follows in
	// calls of Decode. position is the Position of the Fetch.
	Begin(context []byte, feed uint32, position *[]OffsetEntry, response Response) (uint32, error)
	// Decode decodes a piece of a body: of the page if tag is empty, else of the linked request with this tag.
	Decode(page uint32, tag string, status uint16, piece []byte, last bool) (DecodeResult, error)
	// Abandon ends a page before its last piece.
	Abandon(page uint32)
	// CheckOffset returns an error for a stored offset that the plugin cannot continue from.
	CheckOffset(partition []OffsetEntry, offset []OffsetEntry) error
}

// Notification is an HTTP request received by the listener.
type Notification struct {
	Method  string
	Target  string
	Headers []Header
	Body    []byte
}

// Trigger requests that a feed be read now. AnswerWhenStored delays the answer until its rows are in Kafka.
type Trigger struct {
	Feed             uint32
	Token            string // passed to Next; waiting triggers of a feed with equal tokens become one
	Ident            string // identifies the notification, so that a repeated one has no effect; "" for none
	AnswerWhenStored bool
}

// Notifications is optional: push notifications.
type Notifications interface {
	// HandleNotification returns the feeds to read for a notification. The last segment of its target is the name of
	// the feed. An error is the response to the sender: data is 400, unauthorized 401, not-found 404.
	HandleNotification(context []byte, notification Notification) ([]Trigger, error)
	// Subscribe has the service send notifications of a feed to an address. The host calls it at every start, and
	// occasionally later. It may request documents like Open.
	Subscribe(context []byte, feed uint32, address string, state []byte, answers []Response) (CallResult, error)
}

// Retirement is optional: cleanup at the service when a connector is deleted.
type Retirement interface {
	// Retire removes what the connector created, such as subscriptions. It may request documents like Open.
	Retire(component string, settings []Setting, addresses []string, state []byte,
		answers []Response) (CallResult, error)
}

// LoadProgress is how far a load is: one whole reading of a feed.
type LoadProgress struct {
	Read uint64 // the number of the load's rows that the offset has passed; it may be 0 after the end
	// Total is the service's count of the load's rows. Nil means that the plugin knows no count that it trusts.
	Total *uint64
	// Complete is set after a load: the name of what proves that it has every row (key, count, delta), or unproven.
	Complete *string
}

// KeysUse is the host's use of the keys of a page's rows: none, or it keeps a digest of each. Compared is the
// offset from which the keys of all rows can be compared with the remembered ones.
type KeysUse struct {
	Variant
	Ignored    *struct{}
	Remembered *struct{}
	Compared   *[]OffsetEntry
}

// Progress is optional: how far a load is, how its end was proven, and which rows a first load has missed.
type Progress interface {
	// Progress returns the progress of the load that an offset belongs to, nil if it belongs to none.
	Progress(context []byte, feed uint32, offset []OffsetEntry) *LoadProgress
	// Keys returns what to do with the keys of the rows of the page that Next requests from an offset.
	Keys(context []byte, feed uint32, offset []OffsetEntry) KeysUse
	// Compared returns the offset to continue from after a comparison that has found each remembered key. unknown are
	// the keys that were found and not remembered. Nil means that the load's rows are read again.
	Compared(context []byte, feed uint32, offset []OffsetEntry, unknown [][]byte) *[]OffsetEntry
}

// SinkOpened is the state that a sink prepares before it writes.
type SinkOpened struct {
	Context []byte
	Topics  []string
}

// SinkOpenResult is the result of a sink's open.
type SinkOpenResult struct {
	Variant
	Pending *RequestBatch
	Ready   *SinkOpened
}

// Delivery is a request that writes rows. Deliveries with equal ordering keys are sent one after another.
type Delivery struct {
	Request     Request
	Rows        []uint32 // positions in the call's rows
	State       []byte   // passed to HandleResponse
	OrderingKey uint32
}

// EncodeResult is the result of encode: every row of the call is in exactly one of the three lists.
type EncodeResult struct {
	Ready    []Delivery
	Rejected []RowError
	Ignored  []uint32
}

// Hint specifies how Encode encodes a row again.
type Hint struct {
	Row  uint32
	Text string
}

// HintUncertain is the host's hint for a row in doubt, whose earlier delivery may have arrived: encode returns a check
// (a GET or HEAD) or rejects the row. HintMoved and HintKnown with a [Known] may follow it, separated by blanks;
// HintMoved, with or without HintKnown, also occurs alone.
const HintUncertain, HintMoved, HintKnown = "uncertain", "moved", "known="

// RecordID identifies a record before transforms. Its layout in memory is the canonical ABI's: 24 bytes, aligned to 8.
type RecordID struct {
	Topic     uint32 // a position in the call's record topics
	Partition int32
	Offset    int64
	Part      uint32 // the number of the row, from 0, among those that the record was split into
}

// Retry requests that a row be encoded again.
type Retry struct {
	Hint   string
	Error  *Error
	WaitMs uint32 // the time to wait before that, at most a minute
}

// RowResult is the outcome of writing a row.
type RowResult struct {
	Variant
	Written  *struct{}
	Rejected *Error
	Retry    *Retry
}

// ResponseResult is the result of handle-response: one result for each row.
type ResponseResult struct {
	Results []RowResult
	// Context, if not nil, replaces the context of the call in later calls.
	Context *[]byte
}

// Sink writes to a service. An instance keeps nothing between calls.
type Sink interface {
	// Open returns the context that the host passes with the other calls, and the topics. It may request documents:
	// the host calls it again with their state and responses. The first state is empty, or the detail of the ErrorStale
	// because of which the host opens the plugin again; then the context may begin with ContextFresh.
	Open(component string, settings []Setting, state []byte, answers []Response) (SinkOpenResult, error)
	// Encode creates the requests for the rows of a batch, each with one of recordIDs, whose topics index recordTopics.
	Encode(context []byte, schemas []Schema, topics []string, rows []Row, data []byte, recordIDs []RecordID,
		recordTopics []string, hints []Hint) (EncodeResult, error)
	// HandleResponse returns one result for each row of a delivery. It must not keep parts of context, state, rows and
	// the response's body: the next call reuses their memory.
	HandleResponse(context []byte, state []byte, rows []uint32, response Response) (ResponseResult, error)
}

// Condition is the predicate of a stage, which is applied to matching rows only.
type Condition struct {
	Component string
	Settings  []Setting
	Negate    bool
}

// Stage is a transform in a chain.
type Stage struct {
	Component string
	Settings  []Setting
	Condition *Condition
}

// ApplyResult is the result of apply.
type ApplyResult struct {
	Schemas  []Schema
	Topics   []string
	Rows     []Row
	Data     []byte
	Errors   []RowError
	Consumed uint32 // the number of input rows that were handled
}

// TestResult is the result of test: one entry for each row.
type TestResult struct {
	Matches []bool
	Errors  []RowError
}

// Transform changes rows.
type Transform interface {
	// Prepare compiles a chain of transforms of this module, or one predicate, to a context.
	Prepare(chain []Stage) ([]byte, error)
	// Apply runs rows through the chain. It may drop, change or split a row, keeps the order, and may stop early.
	Apply(context []byte, schemas []Schema, topics []string, rows []Row, data []byte) (ApplyResult, error)
	// Test evaluates a predicate without its negation, which the host applies.
	Test(context []byte, schemas []Schema, topics []string, rows []Row, data []byte) (TestResult, error)
}
