package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// newKeys writes a private key of each kind, and the public one beside it in FILE.pub.
func newKeys(t *testing.T) map[string]string {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for name, key := range map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec, "rsa": old} {
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		files[name] = filepath.Join(t.TempDir(), name+".pem")
		for file, block := range map[string]*pem.Block{
			files[name]:          {Type: "PRIVATE KEY", Bytes: private},
			files[name] + ".pub": {Type: "PUBLIC KEY", Bytes: public},
		} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// As openssl ecparam -genkey writes it.
	traditional, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	files["traditional"] = filepath.Join(filepath.Dir(files["ecdsa"]), "traditional.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{5, 0}}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: traditional})...)
	if err := os.WriteFile(files["traditional"], text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files["traditional"]+".pub", []byte(read(t, files["ecdsa"]+".pub")), 0o600); err != nil {
		t.Fatal(err)
	}
	return files
}

// verify runs the command of docs/releases.md, and once more with a byte changed.
func verify(t *testing.T, key, file string) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	command := func(file string) ([]byte, error) {
		return exec.CommandContext(t.Context(), openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key+".pub",
			"-in", file, "-sigfile", filepath.Join(filepath.Dir(file), "SHA256SUMS.sig")).CombinedOutput()
	}
	if out, err := command(file); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
	changed := bytes.Replace([]byte(read(t, file)), []byte("a"), []byte("b"), 1)
	other := filepath.Join(filepath.Dir(file), "changed")
	if err := os.WriteFile(other, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(other); err == nil {
		t.Errorf("openssl verified a text that was changed\n%s", out)
	}
}

func TestSigner(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	for _, kind := range []string{"ed25519", "ecdsa", "traditional"} {
		sign, err := signer(keys[kind])
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		file := filepath.Join(t.TempDir(), "SHA256SUMS")
		one, err := sign([]byte("a text"))
		if err != nil {
			t.Fatal(err)
		}
		if two, err := sign([]byte("a text")); err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s: two signatures of one text differ, %v", kind, err)
		}
		for name, content := range map[string][]byte{file: []byte("a text"), file + ".sig": one} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		verify(t, keys[kind], file)
	}
	if _, err := signer(keys["rsa"]); err == nil {
		t.Error("an RSA key was taken")
	}
}
