package ecrtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// tokenBox makes page tokens: the name or digest at the end of a page, encrypted and bound to
// the operation and its parameters. A client can neither read nor make one, nor use it with
// other parameters.
type tokenBox struct{ aead cipher.AEAD }

func newTokenBox() tokenBox {
	var key [32]byte
	rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a cipher of another block size
	}
	return tokenBox{aead}
}

// tokenScope is the scope of a token. Its parts do not contain the separator NUL.
func tokenScope(parts ...string) []byte { return []byte(strings.Join(parts, "\x00")) }

func (b tokenBox) seal(cursor string, scope []byte) string {
	return base64.StdEncoding.EncodeToString(b.aead.Seal(nil, nil, []byte(cursor), scope))
}

func (b tokenBox) open(token string, scope []byte) (cursor string, ok bool) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", false
	}
	plain, err := b.aead.Open(nil, nil, sealed, scope)
	return string(plain), err == nil
}
