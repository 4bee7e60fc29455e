package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// registryURL is the setting of a converter that says where schemas are.
const registryURL = "schema.registry.url"

// maxShownBytes bounds what a key or value becomes as JSON; a larger one is shown as the bytes that it is.
const maxShownBytes = 256 << 20

// readable makes JSON of keys and values that a schema registry knows the schema of: Avro, and JSON with a JSON Schema.
// It belongs to one goroutine.
type readable struct {
	log        *slog.Logger
	key, value []convert.Converter // that may have written them; none without a registry
	json       convert.Converter
	batch      record.Batch
}

// newReadable asks the registry at url, else that of the converters of a worker, nil for none, with their settings.
func newReadable(ctx context.Context, url string, w *config.Worker, log *slog.Logger) (r *readable, err error) {
	schemas := record.NewRegistry().ForConnector("consume")
	r = &readable{log: log, batch: record.Batch{Registry: schemas}}
	use := convert.Options{Schemas: schemas, ReadOnly: true,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) { return components.OpenRegistry(ctx, s,
		log) }}
	if r.json, err = convert.New(config.JSONConverter, map[string]string{"schemas.enable": "false",
		"decimal.format": "NUMERIC", "replace.null.with.default": "false"}, use); err != nil {
		return nil, err
	}
	if r.value, err = registered(w, "value.converter.", url, use); err != nil {
		return nil, err
	}
	use.IsKey = true
	r.key, err = registered(w, "key.converter.", url, use)
	return r, err
}

// registered are the converters of either kind, with the settings below a prefix.
func registered(w *config.Worker, prefix, url string, use convert.Options) (list []convert.Converter, err error) {
	settings, named := map[string]string{}, prefix+registryURL
	if w != nil {
		settings = w.Prefixed(prefix)
	}
	if url != "" {
		settings[registryURL], named = url, "--schema-registry"
	}
	if settings[registryURL] == "" {
		return nil, nil
	}
	for _, class := range []string{"AvroConverter", "JsonSchemaConverter"} {
		c, err := convert.New(class, settings, use)
		if err != nil {
			return nil, wrong(fmt.Errorf("%s: %w", named, err))
		}
		list = append(list, c)
	}
	return list, nil
}

// record is a record with JSON in the place of what can be read as such. What cannot stays as it is, with a warning.
// The error is of a registry that refuses to answer.
func (r *readable) record(ctx context.Context, of *kgo.Record) (*kgo.Record, error) {
	shown := *of
	for _, part := range []struct {
		of   *[]byte
		by   []convert.Converter
		name string
	}{{&shown.Key, r.key, "key"}, {&shown.Value, r.value, "value"}} {
		text, err := r.text(ctx, of, part.by, *part.of, header(of, convert.SchemaHeader(part.name == "key")))
		switch {
		case err != nil && (fault.IsFatal(err) || ctx.Err() != nil):
			return nil, err
		case err != nil:
			r.log.Warn("cannot be read by its schema, and is shown as it is", "topic", of.Topic, "partition",
				of.Partition,
				"offset", of.Offset, "part", part.name, "error", err)
		case text != nil:
			*part.of = text
		}
	}
	return &shown, nil
}

// text is the JSON of data that says by which schema it is written, in front of it or in a header; nil for all other.
func (r *readable) text(ctx context.Context, of *kgo.Record, by []convert.Converter, data, header []byte) ([]byte,
	error) {
	if len(by) == 0 || data == nil || header == nil && (len(data) < 5 || data[0] != 0) {
		return nil, nil
	}
	var failed error
	for _, c := range by {
		r.batch.Reset()
		decode := c.Decode
		if named, ok := c.(convert.HeaderDecoder); ok && header != nil {
			decode = func(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
				return named.DecodeBy(ctx, topic, header, data, b)
			}
		}
		d, err := decode(ctx, of.Topic, data, &r.batch)
		if err == nil {
			text, null, err := r.json.Encode(ctx, nil, maxShownBytes, of.Topic, &r.batch, d)
			if null {
				text = []byte("null")
			}
			return text, err
		}
		if fault.IsFatal(err) || ctx.Err() != nil {
			return nil, err
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// header is the last header of a name, nil for none.
func header(of *kgo.Record, name string) (value []byte) {
	for _, h := range of.Headers {
		if h.Key == name {
			value = h.Value
		}
	}
	return value
}
