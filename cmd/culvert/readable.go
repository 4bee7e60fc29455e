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

// registryURL is the setting with the URL of a converter's schema registry.
const registryURL = "schema.registry.url"

// maxShownBytes bounds a key or value as JSON; a larger one is printed as bytes.
const maxShownBytes = 256 << 20

// schemaReader converts keys and values with a schema in a registry to JSON: Avro, and JSON with a JSON Schema. It is
// not safe for concurrent use.
type schemaReader struct {
	log   *slog.Logger
	key   []convert.Converter // that may have written the keys; empty without a registry
	value []convert.Converter // that may have written the values; empty without a registry
	json  convert.Converter
	batch record.Batch
}

// newSchemaReader uses the registry at url, or without one the registry of the worker's converters. A nil w means no
// worker's file.
func newSchemaReader(ctx context.Context, url string, w *config.Worker, log *slog.Logger) (r *schemaReader, err error) {
	schemas := record.NewRegistry().ForConnector("consume")
	r = &schemaReader{log: log, batch: record.Batch{Registry: schemas}}
	use := convert.Options{Schemas: schemas, ReadOnly: true,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
			return components.OpenRegistry(ctx, s, log)
		}}
	if r.json, err = convert.New(config.JSONConverter, map[string]string{"schemas.enable": "false",
		"decimal.format": "NUMERIC", "replace.null.with.default": "false"}, use); err != nil {
		return nil, err
	}
	if r.value, err = registryConverters(w, "value.converter.", url, use); err != nil {
		return nil, err
	}
	use.IsKey = true
	r.key, err = registryConverters(w, "key.converter.", url, use)
	return r, err
}

// registryConverters returns converters of both formats with the settings below a prefix.
func registryConverters(w *config.Worker, prefix, url string,
	use convert.Options) (list []convert.Converter, err error) {
	settings := map[string]string{}
	named := prefix + registryURL
	if w != nil {
		settings = w.Prefixed(prefix)
	}
	if url != "" {
		settings[registryURL] = url
		named = "--schema-registry"
	}
	if settings[registryURL] == "" {
		return nil, nil
	}
	for _, class := range []string{"AvroConverter", "JsonSchemaConverter"} {
		c, err := convert.New(class, settings, use)
		if err != nil {
			return nil, asUsageError(fmt.Errorf("%s: %w", named, err))
		}
		list = append(list, c)
	}
	return list, nil
}

// record converts key and value to JSON. Data that cannot be converted is returned unchanged, with a warning. An error
// means that the registry fails.
func (r *schemaReader) record(ctx context.Context, of *kgo.Record) (*kgo.Record, error) {
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
			r.log.Warn("data cannot be decoded with its schema and is shown as it is", "topic", of.Topic,
				"partition", of.Partition, "offset", of.Offset, "part", part.name, "error", err)
		case text != nil:
			*part.of = text
		}
	}
	return &shown, nil
}

// text converts data that has a schema id, in front or in a header, to JSON. It returns nil for other data.
func (r *schemaReader) text(ctx context.Context, of *kgo.Record, by []convert.Converter,
	data, header []byte) ([]byte, error) {
	if len(by) == 0 || data == nil || (header == nil && (len(data) < 5 || data[0] != 0)) {
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

func header(of *kgo.Record, name string) (value []byte) {
	for _, h := range of.Headers {
		if h.Key == name {
			value = h.Value
		}
	}
	return value
}
