package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

const registryURL = "schema.registry.url"

// maxShownBytes bounds a key or value as JSON; a larger one is printed as bytes.
const maxShownBytes = 256 << 20

// schemaReader converts keys and values with a schema in a registry to JSON: Avro, and JSON with a JSON Schema. It is
// not safe for concurrent use.
type schemaReader struct {
	log   *slog.Logger
	key   []convert.Converter // tried in this order for keys; empty without a registry
	value []convert.Converter // tried in this order for values; empty without a registry
	json  convert.Converter
	batch record.Batch
}

// newSchemaReader uses the registry at url, or without one the registry of the worker's converters. A nil w means no
// worker's file.
func newSchemaReader(ctx context.Context, url string, w *config.Worker, log *slog.Logger) (r *schemaReader, err error) {
	schemas := record.NewRegistry().ForConnector("consume")
	r = &schemaReader{log: log, batch: record.Batch{Registry: schemas}}
	options := convert.Options{Schemas: schemas, ReadOnly: true,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
			return resolved.OpenRegistry(ctx, s, log)
		}}
	jsonSettings := map[string]string{
		"schemas.enable":            "false",
		"decimal.format":            "NUMERIC",
		"replace.null.with.default": "false",
	}
	if r.json, err = convert.New(config.JSONConverter, jsonSettings, options); err != nil {
		return nil, err
	}
	if r.value, err = registryConverters(w, "value.converter.", url, options); err != nil {
		return nil, err
	}
	options.IsKey = true
	r.key, err = registryConverters(w, "key.converter.", url, options)
	return r, err
}

// registryConverters returns converters of both formats with the settings below a prefix, nil without a registry.
func registryConverters(w *config.Worker, prefix, url string,
	options convert.Options) (list []convert.Converter, err error) {
	settings := map[string]string{}
	urlSetting := prefix + registryURL
	if w != nil {
		settings = w.Prefixed(prefix)
	}
	if url != "" {
		settings[registryURL] = url
		urlSetting = "--schema-registry"
	}
	if settings[registryURL] == "" {
		return nil, nil
	}
	for _, class := range []string{"AvroConverter", "JsonSchemaConverter"} {
		c, err := convert.New(class, settings, options)
		if err != nil {
			return nil, asUsageError(fmt.Errorf("%s: %w", urlSetting, err))
		}
		list = append(list, c)
	}
	return list, nil
}

// convert returns a record with key and value as JSON. Data that cannot be converted is returned unchanged, with a
// warning. An error means that the registry fails.
func (r *schemaReader) convert(ctx context.Context, source *kgo.Record) (*kgo.Record, error) {
	result := *source
	for _, part := range []struct {
		name       string
		data       *[]byte
		converters []convert.Converter
	}{
		{name: "key", data: &result.Key, converters: r.key},
		{name: "value", data: &result.Value, converters: r.value},
	} {
		schemaHeader := header(source, convert.SchemaHeader(part.name == "key"))
		converted, err := r.toJSON(ctx, source.Topic, part.converters, *part.data, schemaHeader)
		switch {
		case err != nil && (fault.IsFatal(err) || ctx.Err() != nil):
			return nil, err
		case err != nil:
			r.log.Warn("data cannot be decoded with its schema and is shown as it is", "topic", source.Topic,
				"partition", source.Partition, "offset", source.Offset, "part", part.name, "error", err)
		case converted != nil:
			*part.data = converted
		}
	}
	return &result, nil
}

// toJSON converts data that has a schema id, in front or in a header, to JSON. It returns nil for other data.
func (r *schemaReader) toJSON(ctx context.Context, topic string, converters []convert.Converter,
	data, header []byte) ([]byte, error) {
	hasPrefix := len(data) >= 5 && data[0] == 0 // a byte 0 and four bytes of the id
	if len(converters) == 0 || data == nil || (header == nil && !hasPrefix) {
		return nil, nil
	}
	var errs error
	for _, c := range converters {
		r.batch.Reset()
		decode := c.Decode
		if headerDecoder, ok := c.(convert.HeaderDecoder); ok && header != nil {
			decode = func(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
				return headerDecoder.DecodeBy(ctx, topic, header, data, b)
			}
		}
		decoded, err := decode(ctx, topic, data, &r.batch)
		if err == nil {
			encoded, isNull, err := r.json.Encode(ctx, nil, maxShownBytes, topic, &r.batch, decoded)
			if isNull {
				encoded = []byte("null")
			}
			return encoded, err
		}
		if fault.IsFatal(err) || ctx.Err() != nil {
			return nil, err
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

func header(r *kgo.Record, name string) (value []byte) {
	for _, h := range r.Headers {
		if h.Key == name {
			value = h.Value
		}
	}
	return value
}
