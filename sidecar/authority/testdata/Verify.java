import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** Verifies servers as the TLS of Java does: pairs of a trust store and of what a server shows, in PEM. */
public class Verify {
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 2) {
            X509TrustManager trust = trust(args[i]);
            X509Certificate[] shown;
            try (FileInputStream in = new FileInputStream(args[i + 1])) {
                shown = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new X509Certificate[0]);
            }
            try {
                trust.checkServerTrusted(shown, "ECDHE_ECDSA");
                System.out.println("good");
            } catch (java.security.cert.CertificateException e) {
                System.out.println("refused: " + e);
            }
        }
    }

    static X509TrustManager trust(String file) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(file)) {
            store.load(in, null);
        }
        TrustManagerFactory all = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        all.init(store);
        return (X509TrustManager) all.getTrustManagers()[0];
    }
}
