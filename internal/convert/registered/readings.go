package registered

import (
	"context"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// DecoderCache are what a converter with a schema registry has made of the schemas that values came with, so that each
// is asked for and compiled once.
type DecoderCache[R decoder] struct {
	Cache   conversion.Cache[cacheKey, cachedDecoder[R]]
	schemas *Schemas
	// compile makes what reads the values of a schema, the last of several; read reads one.
	compile func(ctx context.Context, topic string, texts []registry.NamedSchema) (R, error)
	read    func(by R, ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
	last    lastUsed[R]
}

// lastUsed is what was found last, of a key, where there is such: values of a topic mostly have one schema.
type lastUsed[R decoder] struct {
	cachedDecoder[R]
	key   cacheKey
	isSet bool
}

// decoder is what reads the values of one schema.
type decoder interface {
	// From is the schema that values are read into, nil: there is none.
	From() *record.Schema
}

// cachedDecoder is what reads the values of one schema, or why it cannot be read.
type cachedDecoder[R decoder] struct {
	decoder R
	err     error
}

// cacheKey: the version that a schema gets depends on the topic's subject.
type cacheKey struct {
	topic string
	id    schemaID
}

// NewDecoderCache keeps so many readings of schemas that are asked for by asks.
func NewDecoderCache[R decoder](kept int, asks *Schemas,
	compile func(context.Context, string, []registry.NamedSchema) (R, error),
	read func(R, context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error)) DecoderCache[R] {
	return DecoderCache[R]{Cache: conversion.NewCache[cacheKey, cachedDecoder[R]](kept), schemas: asks,
		compile: compile,
		read:    read}
}

// Decode implements [Converter].
func (k *DecoderCache[R]) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice,
	error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	id, err := idOf(data)
	if err != nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data[IDBytes:], b)
}

// DecodeBy implements convert.HeaderDecoder.
func (k *DecoderCache[R]) DecodeBy(ctx context.Context, topic string, header, data []byte,
	b *record.Batch) (wit.ValueSlice,
	error) {
	id, err := idIn(header)
	if err != nil || data == nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data, b)
}

func (k *DecoderCache[R]) decode(ctx context.Context, topic string, id schemaID, data []byte,
	b *record.Batch) (wit.ValueSlice,
	error) {
	r, known := k.find(topic, id)
	if !known {
		var err error
		if r, err = k.add(ctx, topic, id); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	if r.err != nil {
		return wit.ValueSlice{}, r.err
	}
	start := len(b.Data)
	d, err := k.read(r.decoder, ctx, topic, data, b)
	if err != nil {
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, err
	}
	return d, nil
}

// find is what is kept for an id of a topic.
func (k *DecoderCache[R]) find(topic string, id schemaID) (r cachedDecoder[R], known bool) {
	key := cacheKey{topic, id}
	if k.last.isSet && key == k.last.key {
		return k.last.cachedDecoder, true
	}
	if r, known = k.Cache.Of[key]; known {
		k.last = lastUsed[R]{r, key, true}
	}
	return r, known
}

// add gets the schemas of an id and has them compiled. A schema that cannot be read is kept like others; what ends the
// task, or may pass, is not.
func (k *DecoderCache[R]) add(ctx context.Context, topic string, id schemaID) (cachedDecoder[R], error) {
	texts, wrong, err := k.schemas.written(ctx, id)
	if err != nil {
		return cachedDecoder[R]{}, err
	}
	r := cachedDecoder[R]{err: wrong}
	if wrong == nil {
		r.decoder, r.err = k.compile(ctx, topic, texts)
	}
	if ctx.Err() != nil {
		return cachedDecoder[R]{}, context.Cause(ctx)
	}
	if fault.Stops(r.err) {
		return cachedDecoder[R]{}, r.err
	}
	size := 1000
	if r.err == nil && r.decoder.From() != nil {
		size += conversion.CompiledBytes(r.decoder.From())
	}
	k.Cache.Put(cacheKey{topic, id}, r, size)
	return r, nil
}
