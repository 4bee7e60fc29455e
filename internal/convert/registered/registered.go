// Package registered has what converters with a schema registry share: the subject of a schema, its ID, and the cache
// of compiled schemas.
package registered

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Schemas resolves schemas to IDs of the registry and back.
type Schemas struct {
	Use      conversion.Options
	kind     registry.Kind
	subject  func(topic, name string) (string, error)
	client   *registry.Client
	settings registrySettings
}

// registrySettings determine the requests to the registry.
type registrySettings struct {
	registry  registry.Settings
	register  bool
	latest    bool
	normalize bool
	fixed     int
}

// New returns the Schemas for a converter whose schemas are of a kind.
func New(v setting.Values, u conversion.Options, kind registry.Kind) (r Schemas, err error) {
	r = Schemas{Use: u, kind: kind, settings: registrySettings{register: v.Bool("auto.register.schemas"),
		latest: v.Bool("use.latest.version"), normalize: v.Bool("normalize.schemas"), fixed: v.Int("use.schema.id")}}
	if r.subject, err = subjectStrategy(v, u.IsKey); err != nil {
		return r, err
	}
	if r.settings.registry, err = registry.Parse(v); err != nil {
		return r, fault.Config("%v", err)
	}
	if u.OpenRegistry != nil {
		if r.client, err = u.OpenRegistry(r.settings.registry); err != nil {
			return r, fault.Config("%v", err)
		}
	}
	return r, nil
}

// subjectPackage is the package of Confluent's subject name strategies.
const subjectPackage = "io.confluent.kafka.serializers.subject."

// subjectStrategy returns the function that names subjects, by the class in key.subject.name.strategy or
// value.subject.name.strategy.
func subjectStrategy(v setting.Values, key bool) (func(topic, name string) (string, error), error) {
	name, suffix := conversion.ConverterType(key)+".subject.name.strategy", "-"+conversion.ConverterType(key)
	class := v.String(name)
	needName := func(record string) error {
		if record == "" {
			return fault.Data("%s=%s: expected a struct, whose name is the subject's", name, class)
		}
		return nil
	}
	switch conversion.SimpleName(class) {
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

// TopicIDs caches the registry's IDs of one schema, by topic.
type TopicIDs map[string]uint32

const maxTopicIDs = 10_000

// Keep adds the ID of a topic.
func (ids TopicIDs) Keep(topic string, id uint32) {
	if len(ids) >= maxTopicIDs {
		clear(ids)
	}
	ids[topic] = id
}

// errNoRegistry is the error of a converter that was created only for validation.
var errNoRegistry = errors.New("the converter was made without a schema registry")

// ID returns the registry's ID of a schema for a topic. name is the schema's own. fits rejects another schema that the
// settings name; its argument what tells where that is from.
func (c *Schemas) ID(ctx context.Context, topic, name, text string,
	fits func(own string, texts []registry.Text, what string) error) (uint32, error) {
	if c.client == nil {
		return 0, errNoRegistry
	}
	subject, err := c.subject(topic, name)
	if err != nil {
		return 0, err
	}
	var id int
	switch s := &c.settings; {
	case s.register:
		id, err = c.client.Register(ctx, subject, c.kind, text, s.normalize)
	case s.fixed >= 0:
		var texts []registry.Text
		id = s.fixed
		if texts, _, err = c.client.Schema(ctx, id, registry.Written); err == nil {
			err = fits(text, texts, fmt.Sprintf("schema %d of use.schema.id", id))
		}
	case s.latest:
		var newest string
		if id, newest, err = c.client.Latest(ctx, subject); err == nil {
			err = fits(text, []registry.Text{{Text: newest}}, "the newest schema of "+subject)
		}
	default:
		id, err = c.client.Lookup(ctx, subject, c.kind, text, s.normalize)
	}
	if err != nil {
		if _, refused := errors.AsType[*registry.Refused](err); refused {
			err = &fault.Fatal{Err: fmt.Errorf("%w; the schema is %s", err,
				fault.TruncateTo(text, fault.MaxErrorBytes))}
		}
		return 0, err
	}
	return uint32(id), nil
}

// IDBytes is the length of a value's prefix: zero, and the four bytes of an ID.
const IDBytes = 5

// schemaID identifies a value's schema: by the registry's ID, or if that is 0 by a GUID.
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

// idIn parses a header: zero and an ID, or one and a GUID.
func idIn(header []byte) (schemaID, error) {
	switch {
	case len(header) == IDBytes && header[0] == 0:
		return schemaID{id: int(binary.BigEndian.Uint32(header[1:]))}, nil
	case len(header) == 17 && header[0] == 1:
		g := header[1:]
		return schemaID{guid: fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])}, nil
	}
	return schemaID{},
		fault.Data("expected a zero byte and the four bytes of a schema's id, or a one and the 16 bytes "+
			"of its GUID, in the header of the schema, found %d bytes", len(header))
}

// idOf parses a value's prefix.
func idOf(data []byte) (schemaID, error) {
	if len(data) < IDBytes || data[0] != 0 {
		found := "nothing"
		if len(data) > 0 {
			found = fmt.Sprintf("%d bytes that begin with %02x", len(data), data[0])
		}
		return schemaID{},
			fault.Data("expected a zero byte and the four bytes of a schema's id in front of the value, "+
				"found %s", found)
	}
	return schemaID{id: int(binary.BigEndian.Uint32(data[1:]))}, nil
}

// writerSchema returns the schema of an ID, after those that it refers to. wrong is an error of all records with that
// ID; err concerns this record only: the registry may know the ID later.
func (c *Schemas) writerSchema(ctx context.Context, id schemaID) (texts []registry.Text, wrong, err error) {
	if c.client == nil {
		return nil, nil, errNoRegistry
	}
	var kind registry.Kind
	if id.guid != "" {
		texts, kind, err = c.client.SchemaOf(ctx, id.guid, registry.Read)
	} else {
		texts, kind, err = c.client.Schema(ctx, id.id, registry.Read)
	}
	if err != nil {
		var refused *registry.Refused
		switch {
		case errors.As(err, &refused) && refused.NotFound():
			return nil, nil, fault.Data("%v", err)
		case errors.As(err, &refused):
			return nil, nil, &fault.Fatal{Err: err}
		}
		return nil, nil, err
	}
	if kind != c.kind {
		return nil, fault.Data("schema %s is of type %s, expected %s", id, kind, c.kind), nil
	}
	for _, one := range texts {
		if len(one.Text) > conversion.MaxEnvelopeBytes {
			return nil, fault.Data("a schema of %d bytes, expected at most %d", len(one.Text),
				conversion.MaxEnvelopeBytes), nil
		}
	}
	return texts, nil, nil
}

// Version returns the version of a schema in the topic's subject, for schemas that have no version themselves. name is
// the schema's own.
func (c *Schemas) Version(ctx context.Context, topic, name, text string) (*int32, error) {
	subject, err := c.subject(topic, name)
	if err != nil {
		return nil, nil // only what has a name has a subject then
	}
	version, err := c.client.Version(ctx, subject, c.kind, text)
	var refused *registry.Refused
	switch {
	case errors.As(err, &refused) && refused.NotFound():
		return nil, nil // a copied topic, for example
	case errors.As(err, &refused):
		return nil, &fault.Fatal{Err: err}
	case err != nil:
		return nil, err
	}
	return wit.Ptr(int32(version)), nil
}

// IDSerializers are the settings that determine where IDs are written.
var IDSerializers = []string{"key.schema.id.serializer", "value.schema.id.serializer"}

// Settings returns the settings of all converters with a schema registry.
func Settings() *setting.Table {
	t := setting.NewTable(registry.Declared()...)
	subject := func(what string) wit.ConfigKey {
		return setting.Define(what+".subject.name.strategy", wit.KindClass, wit.Medium,
			setting.Default(subjectPackage+"TopicNameStrategy"), "How subjects of "+what+"s are named: by "+
				"TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.")
	}
	t.Declare(
		conversion.BoolSetting("auto.register.schemas", wit.Medium, "true",
			"Register schemas that the registry does not know. Where "+
				"not, they are looked up."),
		conversion.BoolSetting("use.latest.version", wit.Low, "false",
			"Write by the newest schema of the subject, where schemas are "+
				"not registered."),
		conversion.BoolSetting("normalize.schemas", wit.Low, "false",
			"Have the registry normalize schemas before it compares them."),
		setting.Define("use.schema.id", wit.KindInt, wit.Low, setting.Default("-1"),
			"Write by the schema of this id, where "+
				"schemas are not registered; -1: by none."),
		subject("key"), subject("value"),
		setting.Define("schemas.cache.config", wit.KindInt, wit.Low, setting.Default("1000"),
			"How many schemas are kept in each direction."),
	)
	// Other features of Confluent's serializers: ignoring them would change the format, or skip rules that a user
	// believes in force, such as encryption. A schema with such rules is rejected when a value is written or read.
	const prefixed = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
	for n, what := range []string{"key", "value"} {
		t.DeclareUnsupported(setting.Define(IDSerializers[n], wit.KindClass, wit.Low, setting.Default(prefixed),
			"Where the ids of "+what+"s' schemas are written: in front of the "+what+". They are read there and in "+
				"headers."), prefixed)
	}
	// harmless is Confluent's default, which generated files contain.
	later := func(name, harmless, documentation string, rules ...wit.Rule) {
		t.DeclareUnsupported(setting.Define(name, wit.KindString, wit.Low, nil, documentation, rules...), harmless)
	}
	later("rule.executors", "", "Rules of schemas to run with each value.")
	later("use.latest.with.metadata", "", "Write by the newest schema of the subject that has these metadata.")
	later("proxy.host", "", "Host of an HTTP proxy in front of the registry.",
		setting.Alias("schema.registry.proxy.host"))
	later("proxy.port", "-1", "Its port.", setting.Alias("schema.registry.proxy.port"))
	return t
}
