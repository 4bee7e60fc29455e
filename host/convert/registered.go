package convert

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// registered is what the converters with a schema registry share: under which subject a schema stands, which id it has
// there, and which schema an id is of.
type registered struct {
	use      Use
	kind     registry.Kind
	subject  func(topic, name string) (string, error)
	client   *registry.Client
	settings registrySettings
}

// registrySettings are those that decide what is asked of the registry.
type registrySettings struct {
	registry  registry.Settings
	register  bool
	latest    bool
	normalize bool
	fixed     int
}

func newRegistered(v setting.Values, u Use, kind registry.Kind) (r registered, err error) {
	r = registered{use: u, kind: kind, settings: registrySettings{register: v.On("auto.register.schemas"),
		latest: v.On("use.latest.version"), normalize: v.On("normalize.schemas"), fixed: v.Number("use.schema.id")}}
	if r.subject, err = subjectStrategy(v, u.Key); err != nil {
		return r, err
	}
	if r.settings.registry, err = registry.Parse(v); err != nil {
		return r, configError("%v", err)
	}
	if u.Registry != nil {
		if r.client, err = u.Registry(r.settings.registry); err != nil {
			return r, configError("%v", err)
		}
	}
	return r, nil
}

// subjectPackage is where Confluent's strategies for the names of subjects are.
const subjectPackage = "io.confluent.kafka.serializers.subject."

// subjectStrategy is how subjects are named, by the class of `key.subject.name.strategy` or
// `value.subject.name.strategy`.
func subjectStrategy(v setting.Values, key bool) (func(topic, name string) (string, error), error) {
	name, suffix := usedFor(key)+".subject.name.strategy", "-"+usedFor(key)
	class := v.Text(name)
	needName := func(record string) error {
		if record == "" {
			return dataError("%s=%s: expected a struct, whose name is the subject's", name, class)
		}
		return nil
	}
	switch simpleName(class) {
	case "", "TopicNameStrategy":
		return func(topic, _ string) (string, error) { return topic + suffix, nil }, nil
	case "RecordNameStrategy":
		return func(_, record string) (string, error) { return record, needName(record) }, nil
	case "TopicRecordNameStrategy":
		return func(topic, record string) (string, error) { return topic + "-" + record, needName(record) }, nil
	}
	return nil, configError("%s", setting.Invalid(name, class, "expected TopicNameStrategy, RecordNameStrategy or "+
		"TopicRecordNameStrategy of "+subjectPackage[:len(subjectPackage)-1]+", others are not built"))
}

// topicIDs are the registry's ids of one schema, by topic.
type topicIDs map[string]uint32

// maxTopicIDs is how many topics a schema's ids are kept for.
const maxTopicIDs = 10_000

func (ids topicIDs) keep(topic string, id uint32) {
	if len(ids) >= maxTopicIDs {
		clear(ids)
	}
	ids[topic] = id
}

// errNoRegistry is of a converter that was made to see whether its settings are right.
var errNoRegistry = errors.New("the converter was made without a schema registry")

// id asks the registry which id a schema has for a topic. name is the schema's own. fits refuses to write by another
// schema that the settings name: what says where that is from.
func (c *registered) id(ctx context.Context, topic, name, text string,
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
			err = &Stop{fmt.Errorf("%w; the schema is %s", err, cutTo(text, maxErrorBytes))}
		}
		return 0, err
	}
	return uint32(id), nil
}

func cutTo(text string, most int) string {
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// idBytes is what stands in front of a value: zero, and the four bytes of an id.
const idBytes = 5

// schemaID says by which schema a value is written: by the registry's id, or where that is 0 by a GUID.
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

// SchemaHeader is the header in which Confluent's serializers put the schema of a key or value where they put nothing
// in front of it.
func SchemaHeader(key bool) string { return "__" + usedFor(key) + "_schema_id" }

// HeaderDecoder is a [Converter] that reads such headers.
type HeaderDecoder interface {
	// DecodeBy is Decode of a record with that header.
	DecodeBy(ctx context.Context, topic string, header, data []byte, b *record.Batch) (wit.Datum, error)
}

// idIn reads a header: zero and an id, or one and a GUID.
func idIn(header []byte) (schemaID, error) {
	switch {
	case len(header) == idBytes && header[0] == 0:
		return schemaID{id: int(binary.BigEndian.Uint32(header[1:]))}, nil
	case len(header) == 17 && header[0] == 1:
		g := header[1:]
		return schemaID{guid: fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])}, nil
	}
	return schemaID{}, dataError("expected a zero byte and the four bytes of a schema's id, or a one and the 16 bytes "+
		"of its GUID, in the header of the schema, found %d bytes", len(header))
}

// idOf reads what stands in front of a value.
func idOf(data []byte) (schemaID, error) {
	if len(data) < idBytes || data[0] != 0 {
		found := "nothing"
		if len(data) > 0 {
			found = fmt.Sprintf("%d bytes that begin with %02x", len(data), data[0])
		}
		return schemaID{}, dataError("expected a zero byte and the four bytes of a schema's id in front of the value, "+
			"found %s", found)
	}
	return schemaID{id: int(binary.BigEndian.Uint32(data[1:]))}, nil
}

// written returns the schema of an id after those that it refers to. wrong is the fault of all records of that id; err
// is of this record alone, and the registry is asked again for the next one, since it may know the id by then.
func (c *registered) written(ctx context.Context, id schemaID) (texts []registry.Text, wrong, err error) {
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
			return nil, nil, dataError("%v", err)
		case errors.As(err, &refused):
			return nil, nil, &Stop{err}
		}
		return nil, nil, err
	}
	if kind != c.kind {
		return nil, dataError("schema %s is of type %s, expected %s", id, kind, c.kind), nil
	}
	for _, one := range texts {
		if len(one.Text) > maxEnvelopeBytes {
			return nil, dataError("a schema of %d bytes, expected at most %d", len(one.Text), maxEnvelopeBytes), nil
		}
	}
	return texts, nil, nil
}

// version is which version of the topic's subject a schema is; Kafka Connect's schema gets it, where the schema itself
// says none. name is the schema's own.
func (c *registered) version(ctx context.Context, topic, name, text string) (*int32, error) {
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
		return nil, &Stop{err}
	case err != nil:
		return nil, err
	}
	return wit.Ptr(int32(version)), nil
}
