package abi

import (
	"context"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// headerBytes is the size of a header in memory: address and length of its name and of its value.
const headerBytes = 16

// PassResponse begins a call of handle-response and passes its arguments as the canonical ABI does, without reflection,
// because the call is made for each request. Like package canon it replaces invalid UTF-8.
func (g *Guest) PassResponse(ctx context.Context, sinkContext, state []byte, rows []uint32, r *wit.Response) error {
	g.BeginCall()
	texts := append(g.texts[:0], validText(r.Tag), validText(r.Target))
	for i := range r.Headers {
		texts = append(texts, validText(r.Headers[i].Name), validText(r.Headers[i].Value))
	}
	g.texts = texts
	contextBlock := g.AddBlock(len(sinkContext), 1)
	stateBlock := g.AddBlock(len(state), 1)
	rowsBlock := g.AddBlock(4*len(rows), 4)
	headersBlock := g.AddBlock(headerBytes*len(r.Headers), 4)
	bodyBlock := g.AddBlock(len(r.Body), 1)
	firstText := Block(len(g.blocks))
	for _, s := range texts {
		g.AddBlock(len(s), 1)
	}
	if err := g.AllocateBlocks(ctx); err != nil {
		return err
	}
	copy(g.BlockBytes(contextBlock), sinkContext)
	copy(g.BlockBytes(stateBlock), state)
	copy(g.BlockBytes(bodyBlock), r.Body)
	numbers := g.BlockBytes(rowsBlock)
	for i, row := range rows {
		binary.LittleEndian.PutUint32(numbers[4*i:], row)
	}
	headers := g.BlockBytes(headersBlock)
	for i, s := range texts {
		textBlock := firstText + Block(i)
		copy(g.BlockBytes(textBlock), s)
		if i >= 2 { // the first two are no headers, but tag and target
			binary.LittleEndian.PutUint32(headers[8*(i-2):], g.Pointer(textBlock))
			binary.LittleEndian.PutUint32(headers[8*(i-2)+4:], uint32(len(s)))
		}
	}
	clear(texts) // the response's memory may be freed
	g.PassList(contextBlock, len(sinkContext))
	g.PassList(stateBlock, len(state))
	g.PassList(rowsBlock, len(rows))
	g.passBlock(firstText)
	g.Pass(uint64(r.Status))
	g.passBlock(firstText + 1)
	g.PassList(headersBlock, len(r.Headers))
	g.PassList(bodyBlock, len(r.Body))
	g.Pass(uint64(r.ReceivedAt))
	return nil
}

// passBlock passes a block as a string.
func (g *Guest) passBlock(b Block) { g.PassList(b, int(g.blocks[b].size)) }

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
