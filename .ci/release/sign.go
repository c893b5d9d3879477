package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// signer returns what signs with the key in a file, or nil without a file. The signature is
// one that openssl verifies, and the same each time: with ECDSA it is over SHA-256, by
// RFC 6979.
func signer(file string) (func([]byte) ([]byte, error), error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no key and no fault
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default: // such as EC PARAMETERS, which openssl puts before the key
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("parsing the key in %s: %w", file, err)
		}
		switch key := key.(type) {
		case ed25519.PrivateKey:
			return func(text []byte) ([]byte, error) { return key.Sign(nil, text, crypto.Hash(0)) }, nil
		case *ecdsa.PrivateKey:
			return func(text []byte) ([]byte, error) {
				sum := sha256.Sum256(text)
				return key.Sign(nil, sum[:], crypto.SHA256)
			}, nil
		default:
			return nil, fmt.Errorf("the key in %s is a %T, want Ed25519 or ECDSA", file, key)
		}
	}
	return nil, fmt.Errorf("%s has no private key in PEM without a password", file)
}
