package wit

// Level of a log line.
type Level uint8

const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

func (Level) Cases() int { return int(LevelError) + 1 }

// Host is all that a plugin may import.
type Host interface {
	Log(level Level, message string)
}

// ComponentKind says what a component is.
type ComponentKind uint8

const (
	ComponentSource ComponentKind = iota
	ComponentSink
	ComponentTransformation
	ComponentPredicate
)

func (ComponentKind) Cases() int { return int(ComponentPredicate) + 1 }

// String is the kind's name in Kafka Connect's REST API.
func (k ComponentKind) String() string {
	return [...]string{"source", "sink", "transformation", "predicate"}[k]
}

// Component is something that a module offers under a class name.
type Component struct {
	Name          string
	Kind          ComponentKind
	Aliases       []string
	Documentation string
	Settings      []SettingSpec
	// Prefixes: keys that begin so and match no declaration are errors (P6).
	Prefixes []string
}

// Description is what a module says of itself.
type Description struct {
	Name, Version, Documentation string
	Components                   []Component
}

// Inquiry is the outcome of validate.
type Inquiry struct {
	Variant
	Ask  *Need
	Done *[]Examined
}

// Plugin is in every module.
type Plugin interface {
	Describe() Description
	Validate(component string, settings []Setting, online bool, state []byte, answers []Response) (Inquiry, error)
}

// Command is one that a plugin adds to the command line.
type Command struct {
	Name, Usage string
	Options     []SettingSpec
}

// Reply is the outcome of run; Document is JSON, Schemas are shown in the form that the user asks for.
type Reply struct {
	Variant
	Ask      *Need
	Document *string
	Schemas  *[]Schema
}

// Tools is optional: commands for the command line.
type Tools interface {
	Commands() []Command
	Run(command string, options []Setting, settings []Setting, state []byte, answers []Response) (Reply, error)
}

// Support says whether exactly-once can be had; Unsupported says why not.
type Support struct {
	Variant
	Supported   *Unit
	Unsupported *string
}

// Layout is how a source's work is shared out among tasks.
type Layout struct {
	Tasks       [][]Setting
	ExactlyOnce Support
	// Claims are what only one connector of an installation may have.
	Claims []string
}

// Changed is what a fingerprint means that is another one than the stored offset's.
type Changed uint8

const (
	// ChangedFail stops the task, which says what differs.
	ChangedFail Changed = iota
	// ChangedReload reads the feed again from its start.
	ChangedReload
	// ChangedKeep goes on from the stored offset.
	ChangedKeep
)

func (Changed) Cases() int { return int(ChangedKeep) + 1 }

// Feed is a stream of rows with an offset of its own.
type Feed struct {
	Name        string
	Partition   []Field
	Topic       string
	Key, Value  *Schema
	PollEveryMs *uint32
	Cron        *string
	Subscribes  bool
	// Fingerprint is what the offset belongs to.
	Fingerprint string
	Changed     Changed
}

// SourceOpened is what a source works out before it reads.
type SourceOpened struct {
	Context []byte
	Feeds   []Feed
}

// SourceOpening is the outcome of a source's open.
type SourceOpening struct {
	Variant
	Ask   *Need
	Ready *SourceOpened
}

// Cause is why next is called.
type Cause struct {
	Variant
	Start, More, Poll *Unit
	Wake              *string
	// Snapshot is a read of the feed as it is now, whatever its offset, under this identification.
	Snapshot *string
}

// Fetch is a page to be asked for.
type Fetch struct {
	Request Request
	// Position is stored with the rows of this page while it is being read. nil: rows carry the standing offset
	// unchanged.
	Position *[]Field
	// RepeatsExactly: the same request answers the same rows in the same order.
	RepeatsExactly bool
	// Acknowledges: not sent before earlier rows and their offset are durable (P1).
	Acknowledges bool
}

// Step is the outcome of next.
type Step struct {
	Variant
	Fetch    *Fetch
	Idle     *Unit
	Finished *Unit
}

// Follow is a request for what a page nests.
type Follow struct {
	Request Request
	// Tolerate are statuses other than 2xx whose answers go to decode like others.
	Tolerate []uint16
}

// Portion is what a piece of a page came to.
type Portion struct {
	Schemas []Schema
	Rows    []Row
	Data    []byte
	Faults  []RowFault
	// Follow is to be fetched before more pieces of the main body come.
	Follow []Follow
	// Next is where to go on; it comes with the last piece.
	Next *[]Field
	// More: something is waiting at Next now, or in WaitMs milliseconds. Behind a page without a position that a wake
	// had asked for, both together have that wake come once more after that time, a minute at most.
	More   bool
	WaitMs uint32
}

// Source reads a service.
type Source interface {
	Plan(component string, settings []Setting, maxTasks uint32) (Layout, error)
	Open(component string, settings []Setting, state []byte, answers []Response) (SourceOpening, error)
	Next(context []byte, feed uint32, offset []Field, cause Cause, now int64) (Step, error)
	Begin(context []byte, feed uint32, position *[]Field, response Response) (uint32, error)
	Decode(page uint32, tag string, status uint16, piece []byte, last bool) (Portion, error)
	Abandon(page uint32)
	CheckOffset(partition []Field, offset []Field) error
}

// Notification is a request that came in at the listener.
type Notification struct {
	Method, Target string
	Headers        []Header
	Body           []byte
}

// Wake asks for a feed to be read now.
type Wake struct {
	Feed         uint32
	Token, Ident string
	Hold         bool
}

// Notifications is optional: push notifications.
type Notifications interface {
	Notified(context []byte, notification Notification) ([]Wake, error)
	Subscribe(context []byte, feed uint32, address string, state []byte, answers []Response) (Arrangement, error)
}

// Retirement is optional: what to undo at the service when a connector is deleted.
type Retirement interface {
	Retire(component string, settings []Setting, addresses []string, state []byte, answers []Response) (Arrangement,
		error)
}

// SinkOpened is what a sink works out before it writes.
type SinkOpened struct {
	Context []byte
	Topics  []string
}

// SinkOpening is the outcome of a sink's open.
type SinkOpening struct {
	Variant
	Ask   *Need
	Ready *SinkOpened
}

// Delivery is a request that writes rows. Deliveries of one lane go one after another.
type Delivery struct {
	Request Request
	Rows    []uint32
	Memo    []byte
	Lane    uint32
}

// Deliveries is the outcome of encode: every row of the call stands in exactly one of the three.
type Deliveries struct {
	Ready   []Delivery
	Refused []RowFault
	Ignored []uint32
}

// Hint comes with a row that is encoded again.
type Hint struct {
	Row  uint32
	Text string
}

// HintUncertain is the host's hint for a row whose earlier delivery may have arrived: it becomes a check (a GET or
// HEAD) or is refused. `moved` and `known=` with a [Known] may follow it, with blanks before them; `moved`, with or
// without `known=`, also comes alone.
const HintUncertain, HintMoved, HintKnown = "uncertain", "moved", "known="

// RecordID is a record as it was read, before transforms. Its layout in memory is that of the canonical ABI: 24 bytes,
// aligned to 8.
type RecordID struct {
	// Topic is a position in the call's origin topics.
	Topic     uint32
	Partition int32
	Offset    int64
	// Part counts the rows that the record was split into, from 0.
	Part uint32
}

// Retry asks for a row to be encoded again.
type Retry struct {
	Hint  string
	Fault *Fault
	// WaitMs is how long it is not encoded at least; the host cuts it at a minute.
	WaitMs uint32
}

// Verdict is what became of a row.
type Verdict struct {
	Variant
	Written *Unit
	Refused *Fault
	Again   *Retry
}

// Settled is the outcome of settle: a verdict for each row.
type Settled struct {
	Verdicts []Verdict
	// Context takes the place of the one that the call was given.
	Context *[]byte
}

// Sink writes to a service.
type Sink interface {
	Open(component string, settings []Setting, state []byte, answers []Response) (SinkOpening, error)
	Encode(context []byte, schemas []Schema, topics []string, rows []Row, data []byte, origins []RecordID,
		originTopics []string,
		hints []Hint) (Deliveries, error)
	// Settle must keep no part of context, memo, rows and the response's body: they lie in memory that is the next
	// call's.
	Settle(context []byte, memo []byte, rows []uint32, response Response) (Settled, error)
}

// Condition is a predicate in front of a stage.
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

// Applied is the outcome of apply.
type Applied struct {
	Schemas []Schema
	Topics  []string
	Rows    []Row
	Data    []byte
	Faults  []RowFault
	// Consumed is the number of input rows that were handled.
	Consumed uint32
}

// Tested is the outcome of test: one entry for each row.
type Tested struct {
	Matches []bool
	Faults  []RowFault
}

// Transform changes rows.
type Transform interface {
	Prepare(chain []Stage) ([]byte, error)
	Apply(context []byte, schemas []Schema, topics []string, rows []Row, data []byte) (Applied, error)
	Test(context []byte, schemas []Schema, topics []string, rows []Row, data []byte) (Tested, error)
}
