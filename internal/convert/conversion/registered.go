package conversion

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Schemas finds subjects, IDs and schemas in the registry for one converter.
type Schemas struct {
	Use      Options
	kind     registry.Kind
	subject  func(topic, name string) (string, error)
	client   *registry.Client
	settings registrySettings
}

type registrySettings struct {
	registry  registry.Settings
	register  bool // `auto.register.schemas`
	useLatest bool // `use.latest.version`, if schemas are not registered
	normalize bool // the registry normalizes schemas before it compares them
	schemaID  int  // `use.schema.id`, if schemas are not registered. A negative ID means none.
}

// NewSchemas returns the schemas of a converter. Without OpenRegistry in use it only validates the settings.
func NewSchemas(values setting.Values, use Options, kind registry.Kind) (r Schemas, err error) {
	r = Schemas{Use: use, kind: kind, settings: registrySettings{register: values.Bool("auto.register.schemas"),
		useLatest: values.Bool("use.latest.version"), normalize: values.Bool("normalize.schemas"),
		schemaID: values.Int("use.schema.id")}}
	if r.subject, err = subjectStrategy(values, use.IsKey); err != nil {
		return r, err
	}
	if r.settings.registry, err = registry.Parse(values); err != nil {
		return r, fault.Config("%v", err)
	}
	if use.OpenRegistry != nil {
		if r.client, err = use.OpenRegistry(r.settings.registry); err != nil {
			return r, fault.Config("%v", err)
		}
	}
	return r, nil
}

const subjectPackage = "io.confluent.kafka.serializers.subject."

// subjectStrategy returns the function that names subjects, by the class of `key.subject.name.strategy` or `value…`.
func subjectStrategy(v setting.Values, key bool) (func(topic, name string) (string, error), error) {
	name := ConverterType(key) + ".subject.name.strategy"
	suffix := "-" + ConverterType(key)
	class := v.String(name)
	needName := func(record string) error {
		if record == "" {
			return fault.Data("%s=%s: expected a struct, whose name is the subject's", name, class)
		}
		return nil
	}
	switch SimpleName(class) {
	case "", "TopicNameStrategy":
		return func(topic, _ string) (string, error) { return topic + suffix, nil }, nil
	case "RecordNameStrategy":
		return func(_, record string) (string, error) { return record, needName(record) }, nil
	case "TopicRecordNameStrategy":
		return func(topic, record string) (string, error) { return topic + "-" + record, needName(record) }, nil
	}
	return nil, fault.Config("%s", setting.Invalid(name, class, "expected TopicNameStrategy, RecordNameStrategy or "+
		"TopicRecordNameStrategy of "+subjectPackage[:len(subjectPackage)-1]+", others are not built"))
}

// TopicIDs has the registry's IDs of one schema by topic.
type TopicIDs map[string]uint32

// maxTopicIDs bounds [TopicIDs], because a source may write to a topic per record.
const maxTopicIDs = 10_000

// Keep stores the ID for a topic. If there are too many topics, it first forgets all others.
func (ids TopicIDs) Keep(topic string, id uint32) {
	if len(ids) >= maxTopicIDs {
		clear(ids)
	}
	ids[topic] = id
}

// errNoRegistry is for converters that only check settings.
var errNoRegistry = errors.New("the converter was created without a schema registry")

// ID returns the registry's ID of a schema for a topic. name is the schema's own. check compares it with another schema
// that the settings name, from the given source.
func (s *Schemas) ID(ctx context.Context, topic, name, text string,
	check func(recordSchema string, texts []registry.NamedSchema, source string) error) (uint32, error) {
	if s.client == nil {
		return 0, errNoRegistry
	}
	subject, err := s.subject(topic, name)
	if err != nil {
		return 0, err
	}
	var id int
	switch settings := &s.settings; {
	case settings.register:
		id, err = s.client.Register(ctx, subject, s.kind, text, settings.normalize)
	case settings.schemaID >= 0:
		var texts []registry.NamedSchema
		id = settings.schemaID
		if texts, _, err = s.client.Schema(ctx, id, registry.Written); err == nil {
			err = check(text, texts, fmt.Sprintf("schema %d of use.schema.id", id))
		}
	case settings.useLatest:
		var newest string
		if id, newest, err = s.client.Latest(ctx, subject); err == nil {
			err = check(text, []registry.NamedSchema{{Text: newest}}, "the newest schema of "+subject)
		}
	default:
		id, err = s.client.Lookup(ctx, subject, s.kind, text, settings.normalize)
	}
	if err != nil {
		if _, isRejected := errors.AsType[*registry.RejectedError](err); isRejected {
			err = &fault.Fatal{Err: fmt.Errorf("%w; the schema is %s", err,
				fault.TruncateTo(text, fault.MaxErrorBytes))}
		}
		return 0, err
	}
	return uint32(id), nil
}

// IDBytes is the size of the prefix of a value: zero, and the four bytes of an ID.
const IDBytes = 5

// schemaID is the registry's ID, or a GUID if the ID is 0.
type schemaID struct {
	id   int
	guid string
}

func (s schemaID) String() string {
	if s.guid != "" {
		return s.guid
	}
	return strconv.Itoa(s.id)
}

// texts returns the schema of an ID after the schemas that it refers to. unreadable concerns all records with the ID;
// err only this one, since the registry may know the ID later.
func (s *Schemas) texts(ctx context.Context, id schemaID) (texts []registry.NamedSchema, unreadable, err error) {
	if s.client == nil {
		return nil, nil, errNoRegistry
	}
	var kind registry.Kind
	if id.guid != "" {
		texts, kind, err = s.client.SchemaByGUID(ctx, id.guid, registry.Read)
	} else {
		texts, kind, err = s.client.Schema(ctx, id.id, registry.Read)
	}
	if err != nil {
		var rejected *registry.RejectedError
		switch {
		case errors.As(err, &rejected) && rejected.IsNotFound():
			return nil, nil, fault.Data("%v", err)
		case errors.As(err, &rejected):
			return nil, nil, &fault.Fatal{Err: err}
		}
		return nil, nil, err
	}
	if kind != s.kind {
		return nil, fault.Data("schema %s is of type %s, expected %s", id, kind, s.kind), nil
	}
	for _, schema := range texts {
		if len(schema.Text) > MaxEnvelopeBytes {
			return nil, fault.Data("a schema of %d bytes, expected at most %d", len(schema.Text), MaxEnvelopeBytes), nil
		}
	}
	return texts, nil, nil
}

// Version returns the version of a schema in the topic's subject, for schemas that do not contain one. It returns
// nil if the subject has no such version, or needs a name that the schema lacks.
func (s *Schemas) Version(ctx context.Context, topic, name, text string) (*int32, error) {
	subject, err := s.subject(topic, name)
	if err != nil {
		return nil, nil // the strategy needs a record name
	}
	version, err := s.client.Version(ctx, subject, s.kind, text)
	var rejected *registry.RejectedError
	switch {
	case errors.As(err, &rejected) && rejected.IsNotFound():
		return nil, nil // a copied topic, for example
	case errors.As(err, &rejected):
		return nil, &fault.Fatal{Err: err}
	case err != nil:
		return nil, err
	}
	return wit.Ptr(int32(version)), nil
}

// IDSerializers are the settings for the place of schema IDs.
var IDSerializers = []string{"key.schema.id.serializer", "value.schema.id.serializer"}

// RegistrySettings declares the settings of all converters with a schema registry.
func RegistrySettings() *setting.Table {
	t := setting.NewTable(registry.SettingKeys()...)
	strategy := func(part string) wit.ConfigKey {
		return setting.Define(part+".subject.name.strategy", wit.KindClass, wit.Medium,
			setting.Default(subjectPackage+"TopicNameStrategy"), "How subjects of "+part+"s are named: by "+
				"TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.")
	}
	t.Declare(
		BoolSetting("auto.register.schemas", wit.Medium, "true",
			"Register schemas that the registry does not know. If false, they are only looked up."),
		BoolSetting("use.latest.version", wit.Low, "false",
			"Write with the newest schema of the subject if schemas are not registered."),
		BoolSetting("normalize.schemas", wit.Low, "false",
			"Have the registry normalize schemas before it compares them."),
		setting.Define("use.schema.id", wit.KindInt, wit.Low, setting.Default("-1"),
			"Write with the schema of this ID if schemas are not registered; -1 means none."),
		strategy("key"), strategy("value"),
		setting.Define("schemas.cache.config", wit.KindInt, wit.Low, setting.Default("1000"),
			"Number of schemas that are cached in each direction."),
	)
	// Features of Confluent's serializers that are not supported: without them values would be encoded in another way,
	// or written without rules that a user relies on, such as encryption.
	const prefixSerializer = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
	for i, part := range []string{"key", "value"} {
		t.DeclareUnsupported(setting.Define(IDSerializers[i], wit.KindClass, wit.Low, setting.Default(prefixSerializer),
			"Where the ids of "+part+"s' schemas are written: in front of the "+part+". They are read there and in "+
				"headers."), prefixSerializer)
	}
	// harmless is Confluent's default, which is accepted.
	unsupported := func(name, harmless, documentation string, rules ...wit.Rule) {
		t.DeclareUnsupported(setting.Define(name, wit.KindString, wit.Low, nil, documentation, rules...), harmless)
	}
	unsupported("rule.executors", "", "Rules of schemas to run with each value.")
	unsupported("use.latest.with.metadata", "", "Write with the newest schema of the subject that has these metadata.")
	unsupported("proxy.host", "", "Host of an HTTP proxy in front of the registry.",
		setting.Alias("schema.registry.proxy.host"))
	unsupported("proxy.port", "-1", "Its port.", setting.Alias("schema.registry.proxy.port"))
	return t
}
